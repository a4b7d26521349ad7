"""Fewer Gaussians for a picture in motion: those that cover most, so that the rest is missed least."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.scene import Gaussians

MOVING_GAUSSIANS = 250_000
"""Drawn while the camera moves on a processor: two cores project so many in about 20 ms. At rest all are drawn."""


def importance(scene: Gaussians) -> Float[Tensor, "N"]:
    """Opacity times the area of the two longer axes: what a Gaussian covers, wherever it is seen from."""
    longest = scene.log_scales.topk(2, dim=-1).values.sum(-1)
    return torch.nn.functional.logsigmoid(scene.logit_opacities) + longest


def coarser(scene: Gaussians, most: int) -> Gaussians:
    """The `most` important Gaussians in the scene's order; the scene itself where it has no more."""
    if len(scene) <= most:
        return scene
    return scene.take(importance(scene).topk(most, sorted=False).indices.sort().values)
