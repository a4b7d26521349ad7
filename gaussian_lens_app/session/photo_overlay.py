"""A photo laid over the picture of a camera that stands where the photo was taken."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.scene import Camera, Photo, Rect

BESIDE = 0.02
"""The camera may stand off by so much of the distance between two views of a metre: beyond, photo and picture have
different parallax and an overlay would lie."""


def at_photo(camera: Camera, photo: Photo, scale: float) -> bool:
    """Whether the camera stands where the photo was taken, as seen from things `scale` world units away."""
    gap = (camera.position.cpu() - photo.camera.position.cpu()).norm()
    return float(gap) <= BESIDE * scale


def over_picture(
    picture: Float[Tensor, "h w 3"], photo: Photo, camera: Camera, opacity: float, crop: Rect | None
) -> Float[Tensor, "h w 3"]:
    """The picture with the photo mixed in where the photo has pixels.

    From one point in space every view is a homography of every other: pixel -> ray -> the photo's pixel.
    """
    x0, y0, _, _ = crop or camera.rect
    height, width = picture.shape[:2]
    pixels = camera.pixel_centres((x0, y0, x0 + width, y0 + height))
    rays = (pixels - camera.K[:2, 2]) / torch.stack([camera.K[0, 0], camera.K[1, 1]])
    rays = torch.cat([rays, torch.ones_like(rays[..., :1])], -1)
    there = photo.camera.to(camera.K.device)
    local = rays @ camera.viewmat[:3, :3] @ there.viewmat[:3, :3].T
    depth = local[..., 2:].clamp_min(1e-6)
    focal = torch.stack([there.K[0, 0], there.K[1, 1]])
    at = local[..., :2] / depth * focal + there.K[:2, 2]
    grid = at / at.new_tensor([there.width, there.height]) * 2 - 1
    small = photo.with_long_side(max(2 * max(height, width), 64)).load().to(picture.device).float() / 255
    colors = F.grid_sample(small.permute(2, 0, 1)[None], grid[None], mode="bilinear", align_corners=False)[0]
    weight = opacity * ((grid.abs() <= 1).all(-1) & (local[..., 2] > 0)).float()[..., None]
    return (1 - weight) * picture + weight * colors.permute(1, 2, 0)
