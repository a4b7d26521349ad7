"""What stands for a perceptual loss without outside weights: multi-scale structural similarity and edges."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.optimize.losses import dssim

SCALES = 3


def ms_dssim(rendered: Float[Tensor, "H W 3"], photo: Float[Tensor, "H W 3"]) -> Tensor:
    """1 - SSIM, the mean over the full size, half of it and a quarter (the usual product has no gradient at zero)."""
    values = []
    for scale in range(SCALES):
        if scale:
            rendered, photo = _halved(rendered), _halved(photo)
        if min(rendered.shape[:2]) >= 8:
            values.append(dssim(rendered.contiguous(), photo.contiguous()))
    return torch.stack(values).mean() if values else rendered.new_zeros(())


def gradient_l1(rendered: Float[Tensor, "H W 3"], photo: Float[Tensor, "H W 3"]) -> Tensor:
    """Mean absolute difference of the steps from pixel to pixel, both ways."""
    difference = rendered - photo
    return (difference.diff(dim=0).abs().mean() + difference.diff(dim=1).abs().mean()) / 2


def _halved(image: Float[Tensor, "H W 3"]) -> Float[Tensor, "h w 3"]:
    return F.avg_pool2d(image.permute(2, 0, 1)[None], 2)[0].permute(1, 2, 0)
