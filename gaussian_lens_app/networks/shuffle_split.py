"""Gaussian Shuffle Split (SR3R, arXiv 2602.24020, after S2Gaussian): opaque Gaussians become six smaller ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gaussian_lens_app.scene import Gaussians
from gaussian_lens_app.scene.gaussians import rotations

CHILDREN = 6


@dataclass(frozen=True)
class SplitSettings:
    """Where children stand, how large and how opaque they are."""

    offset: float = 0.5
    """Distance of a child from its parent, in units of the parent's scale along that axis (the paper's beta)."""
    flattening: float = 4.0
    """A child's scale along the axis it moved along is the parent's over this."""
    lateral: float = 1.04
    """Its other two scales are the parent's over this (S2Gaussian: 1.9; SR3R says nothing)."""
    transparency: float = 0.24
    """A child lets (1 - alpha)^transparency of the light through; 1, as in the paper, inherits the opacity, and the six
    look up to three times as opaque as their parent or, shrunk sideways, leave gaps. This value and `lateral` change
    the training scenes' pictures least (scripts/measure_split)."""
    least_opacity: float = 0.5
    """Fainter Gaussians stay as they are, in one copy."""
    largest: float = 5.0
    """So do those more than so many times as large as the median opaque one, by their middle scale: near a camera six
    discs do not look like one ball. One in fifty on the training scenes; splitting them cost up to 8 dB of likeness."""


PAPER = SplitSettings(lateral=1.9, transparency=1.0, largest=float("inf"))
"""As in the papers."""


@dataclass(frozen=True, eq=False)
class Split:
    """A scene after the split."""

    gaussians: Gaussians
    """Families stand together, in the parents' order."""
    parents: Int[Tensor, "M"]
    """Row of the scene each one came from."""
    divided: Bool[Tensor, "N"]
    """Which rows of the scene became six."""


def shuffle_split(scene: Gaussians, settings: SplitSettings | None = None) -> Split:
    """Six children along the positive and negative principal axes of each Gaussian that is opaque enough."""
    settings = settings or SplitSettings()
    divided = scene.opacities > settings.least_opacity
    sizes = scene.log_scales.median(-1).values.exp()
    if bool(divided.any()):
        divided = divided & (sizes <= settings.largest * sizes[divided].median())
    counts = torch.where(divided, CHILDREN, 1)
    parents = torch.arange(len(scene), device=scene.device).repeat_interleave(counts)
    first = (counts.cumsum(0) - counts)[parents]
    number = torch.arange(len(parents), device=scene.device) - first
    return Split(_children(scene.take(parents), divided[parents], number, settings), parents, divided)


def _children(
    base: Gaussians, divided: Bool[Tensor, "M"], number: Int[Tensor, "M"], settings: SplitSettings
) -> Gaussians:
    """`base` with its divided rows moved, shrunk and thinned; `number` counts the children of each parent."""
    axis, sign = number // 2, 1.0 - 2.0 * (number % 2)
    along: Float[Tensor, "M 3"] = torch.nn.functional.one_hot(axis, 3) * divided[:, None]
    shift = (rotations(base.quats) @ (along * base.scales)[..., None])[..., 0]
    shrink = torch.where(along > 0, settings.flattening, settings.lateral).log() * divided[:, None]
    thinned = torch.logit(1 - (1 - base.opacities) ** settings.transparency, eps=1e-6)
    return Gaussians(
        means=base.means + settings.offset * sign[:, None] * shift,
        quats=base.quats,
        log_scales=base.log_scales - shrink,
        logit_opacities=torch.where(divided, thinned, base.logit_opacities),
        sh0=base.sh0,
        shN=base.shN,
    )
