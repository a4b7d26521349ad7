"""The 3D smoothing filter of Mip-Splatting (Yu et al. 2024, section 4.1): nothing finer than photos can show."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.raster.base import NEAR
from gaussian_lens_app.scene import Camera, Gaussians

STRENGTH = math.sqrt(0.2)
"""Standard deviation of the filter in pixels of the camera that sees a Gaussian largest."""
MARGIN = 0.15
"""Cameras count whose picture, so much larger on every side, holds the Gaussian's centre."""


def filter_sizes(scene: Gaussians, cameras: Sequence[Camera]) -> Float[Tensor, "N 1"]:
    """Standard deviation of each Gaussian's filter, world units; 0 where no camera sees it (equation 7)."""
    finest = torch.full((len(scene),), math.inf, device=scene.device)
    for camera in cameras:
        camera = camera.to(scene.device)
        pixels, depths = camera.project(scene.means.detach())
        size = pixels.new_tensor([camera.width, camera.height])
        inside = ((pixels > -MARGIN * size) & (pixels < (1 + MARGIN) * size)).all(-1) & (depths > NEAR)
        pixel = depths / torch.maximum(camera.K[0, 0], camera.K[1, 1])
        finest = torch.where(inside, torch.minimum(finest, pixel), finest)
    return torch.where(finest.isfinite(), STRENGTH * finest, 0.0)[:, None]


def smoothed(scene: Gaussians, sizes: Float[Tensor, "N 1"]) -> Gaussians:
    """The scene widened by its filter, opacities lowered so that each covers as much as before; differentiable."""
    log_scales = 0.5 * torch.log(scene.scales**2 + sizes**2)
    shrink = (scene.log_scales - log_scales).sum(-1).exp()
    opacities = (scene.opacities * shrink).clamp(1e-6, 1 - 1e-6)
    return dataclasses.replace(scene, log_scales=log_scales, logit_opacities=torch.logit(opacities))
