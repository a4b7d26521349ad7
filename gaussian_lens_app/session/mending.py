"""What the linter finds in the scene that was opened, and the patch that mends it."""

from __future__ import annotations

import torch

from gaussian_lens_app.formats import Finding, SceneFile, lint, repair
from gaussian_lens_app.jobs import Report
from gaussian_lens_app.scene import Capture, Gaussians, Patch
from gaussian_lens_app.session.history import Edited
from gaussian_lens_app.session.memory import memory_errors_as_sentences

MEND = "mend"
"""The reason listeners are told."""
MEND_JOB = "Mending"
"""What the job is called."""
MENDED = "Mended what was found"
"""What the edit is called."""
PLAIN_TO_SEE = frozenset(
    ["linear-opacities", "linear-scales", "linear-colors", "upside-down", "mirrored", "turned", "duplicate"]
)
"""Kinds of findings that spoil the whole picture; the others are a few splats, as most scenes have."""


def faults(scene: Gaussians, capture: Capture | None, file: SceneFile | None) -> tuple[Finding, ...]:
    """What `mending_patch` would mend."""
    return lint(scene, capture, () if file is None else file.cameras)


@memory_errors_as_sentences("mending")
def mending_patch(edited: Edited, capture: Capture | None, file: SceneFile | None, report: Report) -> Patch | None:
    """Rows that must go taken out, rows that must change changed in their places; None where all is well."""
    report("Looking for faults", 0.1)
    scene = edited.scene
    mended = repair(scene, capture, () if file is None else file.cameras)
    if not mended.findings:
        return None
    report("Mending", 0.9)
    rows = mended.rows.cpu()
    changed = _differ(mended.gaussians, scene.take(rows)).cpu()
    gone = torch.ones(len(scene), dtype=torch.bool)
    gone[rows[~changed]] = False
    parents = rows[changed]
    kinds = [finding.kind for finding in mended.findings]
    return Patch(
        removed=gone.nonzero()[:, 0],
        added=mended.gaussians.take(changed),
        parents=parents,
        positions=changed.nonzero()[:, 0],
        provenance={"method": "mend", "findings": kinds},
        kinds=edited.rows.kinds[parents],
    )


def _differ(a: Gaussians, b: Gaussians) -> torch.Tensor:
    """(N,) whether a row has another value."""
    different = torch.zeros(len(a), dtype=torch.bool, device=a.device)
    for (_, x), (_, y) in zip(a.tensors(), b.tensors(), strict=True):
        if x.numel():
            different |= (x != y).reshape(len(a), -1).any(1)
    return different
