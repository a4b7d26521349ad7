"""Windows of photos as tensors: projecting points into them and reading feature maps there."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Views:
    """V windows, padded to one size at their right and lower edges."""

    images: Float[Tensor, "V C H W"]
    rays: Float[Tensor, "V R h w"]
    """Encoded pixel rays at the resolution of the finest feature map."""
    viewmats: Float[Tensor, "V 4 4"]
    Ks: Float[Tensor, "V 3 3"]
    """In pixels of the window."""
    sizes: Float[Tensor, "V 2"]
    """Width and height of each window before padding."""


def project(positions: Float[Tensor, "N 3"], views: Views) -> tuple[Float[Tensor, "N V 2"], Bool[Tensor, "N V"]]:
    """(pixels of each window, whether the point is before its camera and inside it)."""
    local = torch.einsum("vij,nj->nvi", views.viewmats[:, :3, :3], positions) + views.viewmats[:, :3, 3]
    depths = local[..., 2]
    plane = local[..., :2] / depths.clamp_min(1e-6)[..., None]
    focal = torch.stack([views.Ks[:, 0, 0], views.Ks[:, 1, 1]], -1)
    pixels = plane * focal + views.Ks[:, :2, 2]
    inside = (pixels >= 0).all(-1) & (pixels < views.sizes).all(-1) & (depths > 1e-6)
    return pixels, inside


def sample(
    maps: Float[Tensor, "V C h w"], pixels: Float[Tensor, "N V 2"], padded: tuple[int, int]
) -> Float[Tensor, "N V C"]:
    """Bilinear values of feature maps of any resolution at window pixels; `padded` is (height, width) in pixels."""
    size = pixels.new_tensor([padded[1], padded[0]])
    grid = (pixels / size * 2 - 1).clamp(-2, 2).transpose(0, 1)[:, None]
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=False)[:, :, 0].permute(
        2, 0, 1
    )
