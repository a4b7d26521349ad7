"""Bake the 2D filter that a scene was made with into its Gaussians, so that it looks right at any size.

A scene optimised on small photos was only ever seen through the filter of those pixels. Drawn larger with the filter of
large pixels, needles and holes appear that no photo asked for; drawn with the old filter scaled up, nothing finer than
the small pixels can ever show. So the old filter moves from the renderer into the Gaussians: each is widened by what
the filter covered in the world at its distance (the 3D smoothing filter of Mip-Splatting, Yu et al. 2024, equation 7),
and sharper Gaussians may be added beside them. What comes out is an ordinary scene for any viewer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.jobs.report import Report, silent
from gaussian_lens_app.raster import ANTIALIASED, Rasterizer, RenderMode
from gaussian_lens_app.raster.base import NEAR
from gaussian_lens_app.raster.reference import planar_covariances
from gaussian_lens_app.scene import Camera, Gaussians

LOOK_LONG_SIDE = 400
"""Which camera sees a Gaussian how well is told at this size."""
OPACITY_MAX = 0.999


def band_limited(
    scene: Gaussians, cameras: Sequence[Camera], rasterizer: Rasterizer, mode: RenderMode, report: Report = silent
) -> Gaussians:
    """`scene` such that drawing it in ANTIALIASED looks like drawing the old one in `mode` (a wider 2D filter).

    `cameras` are those that `mode`'s pixels belong to, as a rule the photos at full size. Over several cameras each
    Gaussian gets the mean that its visibility weighs. Gaussians that no camera sees stay as they are.
    """
    extra = mode.eps2d - ANTIALIASED.eps2d
    if extra <= 0 or not cameras:
        return scene
    cameras = [camera.to(scene.device) for camera in cameras]
    seen, sizes = scene.means.new_zeros(2, len(scene))
    for index, camera in enumerate(cameras):
        report("Widening splats", 0.5 * index / len(cameras))
        weights = _visibility(scene, camera, rasterizer)
        seen, sizes = seen + weights, sizes + weights * _pixel_areas(scene, camera).log()
    share = seen.clamp_min(1e-12)
    variances = extra * torch.exp(sizes / share)
    wide = dataclasses.replace(scene, log_scales=0.5 * torch.log(scene.scales**2 + variances[:, None]))
    fading = torch.zeros_like(seen)
    for index, camera in enumerate(cameras):
        report("Widening splats", 0.5 + 0.5 * index / len(cameras))
        change = _log_compensation(scene, camera, mode) - _log_compensation(wide, camera, ANTIALIASED)
        fading = fading + _visibility(scene, camera, rasterizer) * change
    opacities = (scene.opacities * torch.exp(fading / share)).clamp(1e-6, OPACITY_MAX)
    limited = dataclasses.replace(wide, logit_opacities=torch.logit(opacities))
    return Gaussians(
        **{
            name: torch.where((seen > 0).view(-1, *[1] * (old.dim() - 1)), new, old)
            for (name, new), (_, old) in zip(limited.tensors(), scene.tensors(), strict=True)
        }
    )


def _visibility(scene: Gaussians, camera: Camera, rasterizer: Rasterizer) -> Float[Tensor, "N"]:
    """Blending weight of each Gaussian, in pixels of a small picture."""
    small = camera.with_long_side(LOOK_LONG_SIDE)
    everywhere = torch.ones(small.height, small.width, 1, device=scene.device)
    return rasterizer.contributions(scene, small, everywhere)[:, 0]


def _pixel_areas(scene: Gaussians, camera: Camera) -> Float[Tensor, "N"]:
    """What a pixel covers at each Gaussian's distance, world units squared."""
    depths = camera.to_camera(scene.means)[:, 2].clamp_min(NEAR)
    return depths**2 / (camera.K[0, 0] * camera.K[1, 1])


def _log_compensation(scene: Gaussians, camera: Camera, mode: RenderMode) -> Float[Tensor, "N"]:
    """Logarithm of what the filter takes from each opacity; 0 where the camera looks away."""
    xx, _, yy, sharp = planar_covariances(scene, camera)
    blurred = sharp + mode.eps2d * (xx + yy) + mode.eps2d**2
    values = 0.5 * torch.log((sharp / blurred).clamp_min(1e-12))
    front = camera.to_camera(scene.means)[:, 2] >= NEAR
    return torch.where(front & torch.isfinite(values), values, 0.0)
