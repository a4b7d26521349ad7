"""Veils: large splats close before the cameras that no photo shows whole, only their rims at the borders of some."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.jobs.report import Report, silent
from gaussian_lens_app.raster import Rasterizer, RenderMode
from gaussian_lens_app.scene import Camera, Capture, Gaussians

LONG_SIDE = 400
"""Photos are looked at no larger than that: veils are large."""
NEAR = 0.7
"""A veil stands nearer to some camera than so large a part of the distance at which its photo shows things."""
WIDE = 0.05
"""...covers more than so many radians there (a standard deviation)..."""
SHOWN = 0.05
"""...shows less than so large a part of itself in every photo..."""
MISSED = 0.0025
"""...and covers less than so large a part of each: nothing that a photo would miss."""


@torch.no_grad()
def veils(
    scene: Gaussians, capture: Capture, rasterizer: Rasterizer, mode: RenderMode, report: Report = silent
) -> Bool[Tensor, "N"]:
    """Which splats hang before the cameras, out of every photo's frame.

    Photos cannot tell their shape or colour, so optimisation leaves there what suits the rims, and a camera that turns
    towards them sees a dark or coloured veil.
    """
    found = torch.zeros(len(scene), dtype=torch.bool, device=scene.device)
    needed = found.clone()
    for index, photo in enumerate(capture.with_long_side(LONG_SIDE).photos):
        report("Looking for veils", index / len(capture))
        camera = photo.camera.to(scene.device)
        framed, depth = _framed(scene, camera)
        distances = (scene.means - camera.position).norm(dim=-1)
        angles = _across(scene) / distances.clamp_min(1e-9)
        found |= (distances < NEAR * depth) & (angles > WIDE)
        shown = covered(scene, camera, rasterizer, mode)
        whole = 2 * math.pi * (angles * camera.K[0, 0]).square() * scene.opacities
        needed |= framed | (shown > MISSED * camera.width * camera.height) | (shown > SHOWN * whole.clamp_min(1))
    return found & ~needed


def covered(scene: Gaussians, camera: Camera, rasterizer: Rasterizer, mode: RenderMode) -> Float[Tensor, "N"]:
    """Pixels that each splat covers: its blending weights in a camera, summed."""
    everywhere = torch.ones(camera.height, camera.width, 1, device=scene.device)
    return rasterizer.contributions(scene, camera, everywhere, mode=mode)[:, 0]


def _framed(scene: Gaussians, camera: Camera) -> tuple[Bool[Tensor, "N"], float]:
    """(whose centres the camera has in its frame, their median depth; 0 where there are none)."""
    pixels, depths = camera.project(scene.means)
    size = pixels.new_tensor([camera.width, camera.height])
    framed = (depths > 0) & (pixels >= 0).all(1) & (pixels < size).all(1)
    return framed, float(depths[framed].median()) if bool(framed.any()) else 0.0


def _across(scene: Gaussians) -> Float[Tensor, "N"]:
    """Standard deviation as seen from the broad side: the geometric mean of the two largest."""
    return scene.scales.sort(-1, descending=True).values[:, :2].prod(-1).sqrt()
