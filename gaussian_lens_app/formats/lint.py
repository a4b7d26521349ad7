"""What is wrong with a scene, in words, and the scene without it.

Readers drop rows that are no Gaussians at all (`checks.py`); here is what can be drawn and is wrong all the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from gaussian_lens_app.formats.checks import robust_bounds, usable
from gaussian_lens_app.formats.frame_lint import find_frame
from gaussian_lens_app.formats.frames import transformed
from gaussian_lens_app.formats.packing import CLOSEST, SMALLEST_LOG_SCALE
from gaussian_lens_app.formats.values import Finding
from gaussian_lens_app.scene import Camera, Capture, Gaussians
from gaussian_lens_app.scene.gaussians import SH_C0

FEWEST = 20
"""Of fewer Gaussians no statement is made about all of them."""
HIGHEST_LOGIT = 20.0
"""Opacity beyond this is 0 or 1 in float32 and cannot be fitted any more."""
THINNEST, LONGEST = 50.0, 0.02
"""A needle is this many times longer than its middle axis, and this long as a share of the scene's extent; of banana's
61335 Gaussians 41 are."""
FAR, FARTHEST, HUGE, HUGEST = 3.0, 10.0, 0.5, 1.0
"""In extents of the scene: centres and standard deviations. None of banana's, or of three foreign scenes, is beyond."""


@dataclass(frozen=True, eq=False)
class Repaired:
    """A scene after mending."""

    gaussians: Gaussians
    rows: Int64[Tensor, "M"]
    """Row in the scene before of each Gaussian now."""
    findings: tuple[Finding, ...]
    """What was wrong and is mended."""


@dataclass(frozen=True)
class _Mended:
    gaussians: Gaussians
    keep: Bool[Tensor, "N"] | None
    finding: Finding


Check = Callable[[Gaussians], _Mended | None]


def lint(
    gaussians: Gaussians, capture: Capture | None = None, cameras: Sequence[tuple[str, Camera]] = ()
) -> tuple[Finding, ...]:
    """What is wrong with a scene, each as a sentence with a count; empty when nothing is.

    Whether the scene is mirrored or turned is only known with the capture, or cameras, that it belongs to.
    """
    return repair(gaussians, capture, cameras).findings


def repair(
    gaussians: Gaussians,
    capture: Capture | None = None,
    cameras: Sequence[tuple[str, Camera]] = (),
    kinds: Collection[str] | None = None,
) -> Repaired:
    """The scene without what is wrong with it; with `kinds`, only without that (kinds of `lint`'s findings)."""
    scene, findings = gaussians.detach().to("cpu"), []
    keep, dropped = usable(scene)
    rows = torch.arange(len(scene))
    if dropped and (kinds is None or any(f.kind in kinds for f in dropped)):
        scene, rows, findings = scene.take(keep), rows[keep], list(dropped)
    for check in (*CHECKS, lambda g: _frame(g, capture, cameras)):
        if not len(scene):
            break
        mended = check(scene)
        if mended is None or (kinds is not None and mended.finding.kind not in kinds):
            continue
        scene, findings = mended.gaussians, [*findings, mended.finding]
        if mended.keep is not None:
            scene, rows = scene.take(mended.keep), rows[mended.keep]
    return Repaired(scene.to(gaussians.device), rows, tuple(findings))


def extent_of(g: Gaussians) -> float:
    """Diagonal of the box that holds the scene without its outliers."""
    low, high = robust_bounds(g.means)
    return float((high - low).norm())


def _linear_opacities(g: Gaussians) -> _Mended | None:
    """Logits of a trained scene lie on both sides of zero; all of them in 0..1 are opacities already."""
    values = g.logit_opacities
    inside = (values >= 0) & (values <= 1)
    if (
        len(g) < FEWEST
        or float(inside.float().mean()) < 0.99
        or float(values.min()) < -0.5
        or float(values.max()) > 1.5
    ):
        return None
    if float(values.max() - values.min()) < 1e-3:
        return None  # all alike: nothing tells
    beyond = int((~inside).sum())
    logits = torch.logit(values.double().clamp(CLOSEST, 1 - CLOSEST)).float()
    also = f" ({beyond} of them outside 0..1, which are clamped)" if beyond else ""
    sentence = f"Opacities are stored linearly instead of as logits{also}: the scene looks half transparent."
    return _Mended(dataclasses.replace(g, logit_opacities=logits), None, Finding("linear-opacities", len(g), sentence))


def _linear_scales(g: Gaussians) -> _Mended | None:
    """Logarithms that are all positive and would make Gaussians the size of the scene are lengths already."""
    values, extent = g.log_scales, extent_of(g)
    if len(g) < FEWEST or float(values.min()) < 0 or extent <= 0:
        return None
    if float(values.median().exp()) < 0.05 * extent or float(values.median()) > 0.2 * extent:
        return None
    logs = values.double().log().clamp_min(SMALLEST_LOG_SCALE).float()
    sentence = "Scales are stored linearly instead of as logarithms: every Gaussian is as large as the scene."
    return _Mended(dataclasses.replace(g, log_scales=logs), None, Finding("linear-scales", len(g), sentence))


def _linear_colors(g: Gaussians) -> _Mended | None:
    """Base coefficients lie on both sides of zero; all of them in 0..1, or 0..255, are colours already."""
    values = g.sh0
    low, high = float(values.min()), float(values.max())
    if len(g) < FEWEST or low < 0 or low > 0.1 * high:
        return None
    if not (0.5 < high <= 1 or 128 < high <= 255):
        return None
    colors = values / (255 if high > 1 else 1)
    sentence = "Base colours are stored as colours instead of harmonics: the scene looks pale."
    mended = dataclasses.replace(g, sh0=(colors - 0.5) / SH_C0)
    return _Mended(mended, None, Finding("linear-colors", len(g), sentence))


def _extreme_opacities(g: Gaussians) -> _Mended | None:
    beyond = int((g.logit_opacities.abs() > HIGHEST_LOGIT).sum())
    if not beyond:
        return None
    sentence = f"{_count(beyond)} of an opacity so near 0 or 1 that it cannot be fitted any more (logit beyond 20)."
    mended = dataclasses.replace(g, logit_opacities=g.logit_opacities.clamp(-HIGHEST_LOGIT, HIGHEST_LOGIT))
    return _Mended(mended, None, Finding("extreme-opacity", beyond, sentence))


def _giants(g: Gaussians) -> _Mended | None:
    extent = extent_of(g)
    if extent <= 0 or len(g) < FEWEST:
        return None
    low, high = robust_bounds(g.means)
    away = (g.means - (low + high) / 2).norm(dim=1) / extent
    size = g.log_scales.amax(1).exp() / extent
    bad = (away > FARTHEST) | (size > HUGEST) | ((away > FAR) & (size > HUGE))
    if not bad.any():
        return None
    count = int(bad.sum())
    sentence = f"{_count(count)} so far out or so large that they are no part of the scene, and slow it down."
    return _Mended(g, ~bad, Finding("giant", count, sentence))


def _needles(g: Gaussians) -> _Mended | None:
    extent = extent_of(g)
    if extent <= 0 or len(g) < FEWEST:
        return None
    ordered, _ = g.log_scales.sort(1)
    limit = torch.maximum(ordered[:, 1] + torch.log(torch.tensor(THINNEST)), torch.log(torch.tensor(LONGEST * extent)))
    bad = ordered[:, 2] > limit + 1e-4
    if not bad.any():
        return None
    count = int(bad.sum())
    shorter = torch.where(bad[:, None], torch.minimum(g.log_scales, limit[:, None]), g.log_scales)
    needles = "a needle" if count == 1 else "needles"
    sentence = f"{_count(count)} like {needles}, more than {THINNEST:.0f} times longer than wide, seen as spikes."
    return _Mended(dataclasses.replace(g, log_scales=shorter), None, Finding("needle", count, sentence))


def _duplicates(g: Gaussians) -> _Mended | None:
    """Rows that are the same bits as an earlier one: written twice, they look too opaque."""
    words = torch.cat([t.reshape(len(g), -1).contiguous().view(torch.int32) for _, t in g.tensors() if t.numel()], 1)
    weights = torch.randint(1, 1 << 62, (words.shape[1],), generator=torch.Generator().manual_seed(0))
    keys = torch.zeros(len(g), dtype=torch.int64)
    for column, weight in zip(words.unbind(1), weights, strict=True):
        keys = (keys ^ column.long()) * (weight | 1)
    order = keys.argsort(stable=True)
    same = (keys[order[1:]] == keys[order[:-1]]).nonzero()[:, 0]
    same = same[(words[order[same + 1]] == words[order[same]]).all(1)]
    if not len(same):
        return None
    keep = torch.ones(len(g), dtype=torch.bool)
    keep[order[same + 1]] = False
    sentence = f"{_count(len(same))} that stand there twice, value for value."
    return _Mended(g, keep, Finding("duplicate", len(same), sentence))


def _frame(g: Gaussians, capture: Capture | None, cameras: Sequence[tuple[str, Camera]]) -> _Mended | None:
    found = find_frame(g, capture, cameras)
    if found is None:
        return None
    kind, matrix, words = found
    sentence = f"The scene is {words} against the cameras it belongs to: it fits them after that is undone."
    return _Mended(transformed(g, matrix), None, Finding(kind, len(g), sentence))


def _count(count: int) -> str:
    return "1 Gaussian is" if count == 1 else f"{count} Gaussians are"


CHECKS: tuple[Check, ...] = (
    _linear_opacities,
    _linear_scales,
    _linear_colors,
    _extreme_opacities,
    _giants,
    _needles,
    _duplicates,
)
"""In this order: sizes mean nothing before they are logarithms. The frame comes last, with the cameras."""
