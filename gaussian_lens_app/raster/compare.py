"""How far a scene's picture is from a photo, pixel by pixel."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.raster.base import Rasterizer, RenderMode
from gaussian_lens_app.scene import Camera, Gaussians, Rect


def squared_errors(
    scene: Gaussians,
    camera: Camera,
    rect: Rect,
    photo: Float[Tensor, "h w 3"],
    rasterizer: Rasterizer,
    mode: RenderMode,
) -> Float[Tensor, "h w"]:
    """Squared error, mean over channels, in a window of a camera: the picture as seen (0..1) against `photo`."""
    with torch.no_grad():
        rgb = rasterizer.render(scene, camera.to(scene.device), mode=mode, crop=rect).rgb
    return ((rgb.clamp(0, 1) - photo.to(scene.device)) ** 2).mean(-1)
