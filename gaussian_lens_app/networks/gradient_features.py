"""Gradients of the rendering loss as features: pooled over photos, and as proposals for a step."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.networks.point_transformer import squashed

MEAN, SCALE, TURN, LOGIT, COLOUR = slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 10), slice(10, 13)
PER_VIEW = 14
POOLED = 3 * 13 + 2 + 1

GAINS = (150.0,) * 3 + (80.0,) * 3 + (120.0,) * 3 + (60.0,) + (30.0,) * 3
"""Bring the typical gradient of each kind to about 1 (root mean squares over the training scenes)."""


def compressed(gradients: Float[Tensor, "*B 14"]) -> Float[Tensor, "*B 14"]:
    """Values of order one whatever the tails: scaled gradients with roots of the large, root of the energy."""
    gains = gradients.new_tensor(GAINS)
    energy = gradients[..., 13:].clamp_min(0).sqrt() * 10
    return torch.cat([squashed(gradients[..., :13] * gains), energy], -1)


def pooled(
    gradients: Float[Tensor, "N V 14"], small: Float[Tensor, "N V 14"], weights: Float[Tensor, "N V"]
) -> tuple[Float[Tensor, "N 42"], Float[Tensor, "N 13"]]:
    """(features: weighted mean, largest, consistency over photos, energy and its largest, total weight; mean itself).

    `small` is `compressed(gradients)`. Consistency is |mean| / root mean square: 1 where all photos ask for the same.
    """
    share = weights / weights.sum(1, keepdim=True).clamp_min(1e-6)
    steps = gradients[..., :13]
    mean = (share[..., None] * steps).sum(1)
    square = (share[..., None] * steps.square()).sum(1)
    consistency = mean.abs() / (square + 1e-12).sqrt()
    visible = small[..., :13] * (weights > 0.5)[..., None]
    high, low = visible.amax(1), visible.amin(1)
    largest = torch.where(high > -low, high, low)
    energy = compressed(torch.cat([mean, (share * gradients[..., 13]).sum(1, keepdim=True)], -1))
    total = torch.log1p(weights.sum(1, keepdim=True))
    return torch.cat([energy, small[..., 13].amax(1, keepdim=True), largest, consistency, total], -1), mean
