"""A whole scene by a method that works on boxes: block by block, each judged for itself, merged."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from gaussian_lens_app.errors import CaptureError, JobCancelled, NeedsMissing
from gaussian_lens_app.evaluation.judge import Verdict
from gaussian_lens_app.jobs.report import Report, silent, within
from gaussian_lens_app.methods import Budget
from gaussian_lens_app.scene import Gaussians, Patch
from gaussian_lens_app.select import whole_region
from gaussian_lens_app.upgrade.blocks import MOST, blocks_of, parts_of
from gaussian_lens_app.upgrade.engines import Done, Engine, Here
from gaussian_lens_app.upgrade.request import UpgradeRequest, UpgradeResult
from gaussian_lens_app.upgrade.store import Store

SHOW_SECONDS = 1.0
"""Between previews: each puts the whole scene together."""
SECONDS = 6.0
"""For the method on one block, where the budget does not run out before."""


def upgrade_by_blocks(
    request: UpgradeRequest,
    report: Report = silent,
    engine: Engine | None = None,
    folder: Path | None = None,
    most: int = MOST,
) -> UpgradeResult:
    """The blocks that the judge took, as one patch; all of them where it took none, to be forced.

    All start from the same scene, so that where and in which order they run does not matter. With a `folder` finished
    blocks are kept there, and those found there are not made again. Raises NeedsMissing without photos, CaptureError
    where no photo shows any of it, and JobCancelled with the blocks that the judge had taken until then.
    """
    if request.capture is None or not request.capture.photos:
        raise NeedsMissing("This method needs photos with cameras: open the scene with --capture DIR.")
    began = time.monotonic()
    parts = parts_of(request.scene, most, report)
    budget = Budget(min(SECONDS, request.budget.seconds / len(parts)), max(1, request.budget.gaussians // len(parts)))
    store = None if folder is None else Store(folder, request, len(parts))
    finished: list[Done] = []
    shown = 0.0
    try:
        for done in _all(request, parts, budget, engine or Here(), store, report):
            finished.append(done)
            finished.sort(key=lambda one: one.number)
            if _any_taken(finished) and time.monotonic() - shown > SHOW_SECONDS:
                request.preview(merged(request, finished))
                shown = time.monotonic()
    except JobCancelled as stop:
        if _any_taken(finished):
            stop.kept = merged(request, finished)
        raise
    if not finished:
        raise CaptureError(
            "No photo shows enough of the scene to work on: check that --capture names the photos it was made from."
        )
    patch, verdict = merged(request, finished), verdict_of(finished)
    seconds = {"select": 0.0, "method": time.monotonic() - began, "judge": 0.0}
    return UpgradeResult(patch, whole_region(request.scene, None), verdict, seconds)


def _any_taken(finished: Sequence[Done]) -> bool:
    """Whether the judge has taken one: until then `merged` is of what it refused."""
    return any(done.verdict.accepted for done in finished)


def _all(
    request: UpgradeRequest,
    parts: Sequence[torch.Tensor],
    budget: Budget,
    engine: Engine,
    store: Store | None,
    report: Report,
) -> Iterator[Done]:
    """Kept blocks first, then the others as they are done, each kept at once."""
    kept = {} if store is None else {n: done for n in range(len(parts)) if (done := store.find(n)) is not None}
    yield from kept.values()
    told = _Told(report, len(parts), len(kept))
    left = ((number, rows) for number, rows in enumerate(parts) if number not in kept)
    for done in engine.run(blocks_of(request, left, budget, told), request.rasterizer, told):
        if store is not None and done.patch is not None:  # what could not be made is tried again
            store.keep(done)
        told.count += 1
        yield done


class _Told:
    """Progress over all parts; those that no photo sees end with the last one."""

    def __init__(self, report: Report, total: int, count: int):
        self.report, self.total, self.count = report, total, count

    def __call__(self, stage: str, fraction: float) -> None:
        start = min(self.count, self.total - 1)
        part = within(self.report, 0.98 * start / self.total, 0.98 * (start + 1) / self.total)
        part(f"Part {start + 1} of {self.total}: {stage}", fraction)


def merged(request: UpgradeRequest, finished: Sequence[Done]) -> Patch:
    """One patch of the blocks that were accepted, or of all where none was."""
    usable = [done for done in finished if done.patch is not None]
    chosen = [done for done in usable if done.verdict.accepted] or usable
    patches = [done.patch for done in chosen if done.patch is not None]
    empty = torch.empty(0, dtype=torch.long)
    removed = torch.cat([empty, *(patch.removed for patch in patches)])
    parents = torch.cat([empty, *(patch.parents for patch in patches)])
    added = Gaussians.concat([Gaussians.empty(request.scene.sh_degree), *(patch.added for patch in patches)])
    kinds = [patch.provenance.get("kind") for patch in patches]
    provenance = {
        "method": request.method,
        **({"kind": kinds[0]} if kinds and kinds[0] is not None else {}),
        "photos": sorted({name for patch in patches for name in patch.provenance.get("photos", [])}),
        "blocks": len(finished),
        "accepted": sum(done.verdict.accepted for done in finished),
        "verdict": dataclasses.asdict(verdict_of(finished)),
    }
    return Patch(removed.sort().values, added.to(request.scene.device), parents, provenance=provenance)


def verdict_of(finished: Sequence[Done]) -> Verdict:
    """Accepted where any block was; the gain is the mean over all that were measured, refused ones counting nothing."""
    measured = [done.verdict for done in finished if done.verdict.gain_db is not None]
    taken = [done.verdict for done in finished if done.verdict.accepted]
    not_made = _not_made(finished)
    if not taken:
        none = f"Not swapped in: none of {len(finished)} parts became better{not_made}"
        return Verdict(False, False, None, None, None, none if not_made else none + ".")
    verified = all(verdict.verified for verdict in taken)
    left = len(finished) - len(taken)
    rest = f"; {left} stay as they were" if left else ""
    parts, rest = f"{len(taken)} of {len(finished)} parts", f"{rest}{not_made or '.'}"
    if not measured:
        return Verdict(True, False, None, None, None, f"{parts} made anew, not measured: detail not verified{rest}")
    gain = sum(v.gain_db for v in measured if v.accepted and v.gain_db is not None) / len(measured)
    how = "measured on photos each had not seen" if verified else "detail not verified"
    sentence = f"{parts} sharper, {gain:+.2f} dB over all, {how}{rest}"
    return Verdict(True, verified, gain, None, "photos kept out" if verified else None, sentence)


def _not_made(finished: Sequence[Done]) -> str:
    """The end of a sentence about blocks that an error kept from being made, with the first one's; empty for none."""
    reasons = [done.verdict.sentence for done in finished if done.patch is None and not done.verdict.accepted]
    return f"; {len(reasons)} could not be made: {reasons[0]}" if reasons else ""
