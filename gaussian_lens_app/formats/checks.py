"""Which rows of a file are no Gaussians: they are dropped, and counted."""

from __future__ import annotations

import dataclasses
import math

import torch
from jaxtyping import Bool
from torch import Tensor

from gaussian_lens_app.formats.values import Finding
from gaussian_lens_app.scene import Gaussians

LOG_SCALE_RANGE = (-87.0, 88.0)
"""exp() of these is a normal float32."""
LARGEST = 1e4
"""A Gaussian longer than this many times the scene's extent is an accident."""
_SAMPLE = 100_000


def usable(gaussians: Gaussians) -> tuple[Bool[Tensor, "N"], tuple[Finding, ...]]:
    """Rows worth keeping, and a finding for each reason that dropped some; a row counts under its first reason."""
    keep = torch.ones(len(gaussians), dtype=torch.bool)
    findings = []
    tests = [
        ("non-finite", _finite, "NaN or infinite values"),
        ("zero-quaternion", _rotations, "a zero quaternion"),
        ("absurd-scale", _sane_scales, "a scale beyond float32 or 10000 times the scene's extent"),
    ]
    for kind, test, what in tests:
        good = test(gaussians) if keep.all() else _on_kept(test, gaussians, keep)
        if dropped := int((keep & ~good).sum()):
            findings.append(Finding(kind, dropped, f"{_plural(dropped)} with {what} {_were(dropped)} dropped."))
            keep &= good
    return keep, tuple(findings)


def with_logarithms(g: Gaussians) -> tuple[Gaussians, tuple[Finding, ...]]:
    """The scene, its scales made logarithms where they are so evidently lengths that all of it would be dropped."""
    low, high = robust_bounds(torch.nan_to_num(g.means))
    extent, typical = float((high - low).norm()), float(g.log_scales.median())
    if not (extent > 0 and math.log(LARGEST * extent) < typical <= extent and bool((g.log_scales >= 0).all())):
        return g, ()
    scene = dataclasses.replace(g, log_scales=g.log_scales.clamp_min(1e-30).log())
    sentence = "Scales are stored linearly instead of as logarithms; they are read as what they must mean."
    return scene, (Finding("linear-scales", len(g), sentence),)


def robust_bounds(means: Tensor) -> tuple[Tensor, Tensor]:
    """Per axis the 1st and 99th percentile (of an even sample, when there are many)."""
    sample = means[:: max(1, len(means) // _SAMPLE)].double()
    low, high = torch.quantile(sample, torch.tensor([0.01, 0.99], dtype=sample.dtype), dim=0)
    return low.to(means.dtype), high.to(means.dtype)


def _finite(g: Gaussians) -> Tensor:
    # Almost always everything is finite, and a sum tells that without a mask of the table's size.
    checks = [t.reshape(len(g), -1) for _, t in g.tensors() if t.numel()]
    good = torch.ones(len(g), dtype=torch.bool)
    for t in checks:
        if not torch.isfinite(t.sum()):
            good &= torch.isfinite(t).all(1)
    return good


def _rotations(g: Gaussians) -> Tensor:
    norms = g.quats.norm(dim=1)  # float32, as the rasterizers will compute it
    return (norms > 1e-12) & torch.isfinite(norms)


def _sane_scales(g: Gaussians) -> Tensor:
    low, high = LOG_SCALE_RANGE
    longest = g.log_scales.amax(1)
    good = (g.log_scales.amin(1) > low) & (longest < high)
    bottom, top = robust_bounds(g.means)
    extent = (top - bottom).norm()
    return good & (longest < torch.log(LARGEST * extent)) if extent > 0 else good


def _on_kept(test, g: Gaussians, keep: Tensor) -> Tensor:
    """The test among the rows kept so far, so that what is dropped already does not bend the extent."""
    good = torch.zeros(len(g), dtype=torch.bool)
    if keep.any():
        good[keep] = test(g.take(keep))
    return good


def _plural(count: int) -> str:
    return "1 Gaussian" if count == 1 else f"{count} Gaussians"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
