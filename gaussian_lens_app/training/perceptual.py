"""What stands for a perceptual loss without outside weights: multi-scale structural similarity and edges."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.optimize.losses import dssim

SCALES = 3
LEAST_SIDE = 8
"""Smaller pictures are not compared: a window may be a few pixels wide."""


def ms_dssim(rendered: Float[Tensor, "H W 3"], photo: Float[Tensor, "H W 3"]) -> Tensor:
    """1 - SSIM, the mean over the full size, half of it and a quarter (the usual product has no gradient at zero)."""
    values = []
    while min(rendered.shape[:2]) >= LEAST_SIDE and len(values) < SCALES:
        values.append(dssim(rendered.contiguous(), photo.contiguous()))
        rendered, photo = _halved(rendered), _halved(photo)
    return torch.stack(values).mean() if values else rendered.new_zeros(())


def gradient_l1(rendered: Float[Tensor, "H W 3"], photo: Float[Tensor, "H W 3"]) -> Tensor:
    """Mean absolute difference of the steps from pixel to pixel, both ways."""
    difference = rendered - photo
    steps = [difference.diff(dim=dim).abs() for dim in (0, 1) if difference.shape[dim] > 1]
    return torch.stack([step.mean() for step in steps]).mean() if steps else rendered.new_zeros(())


def _halved(image: Float[Tensor, "H W 3"]) -> Float[Tensor, "h w 3"]:
    return F.avg_pool2d(image.permute(2, 0, 1)[None], 2)[0].permute(1, 2, 0)
