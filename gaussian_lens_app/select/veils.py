"""Veils: large splats close before the cameras that no photo shows whole, only their rims at the borders of some."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gaussian_lens_app.jobs.report import Report, silent
from gaussian_lens_app.optimize.local import touching
from gaussian_lens_app.raster import Rasterizer, RenderMode
from gaussian_lens_app.scene import Camera, Capture, Gaussians

LONG_SIDE = 400
"""Photos are looked at no larger than that: veils are large."""
SAMPLE = 20_000
"""So many splats, at least, say how far away a photo shows things."""
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
    cameras = [photo.camera.to(scene.device) for photo in capture.with_long_side(LONG_SIDE).photos]
    rows = _suspects(scene, cameras)
    for index, camera in enumerate(cameras):
        report("Looking for veils", index / len(cameras))
        suspects = scene.take(rows)
        if bool(touching(suspects, camera, camera.rect).any()):  # few photos show any: only those are drawn
            rows = rows[~_needed(suspects, covered(scene, camera, rasterizer, mode)[rows], camera)]
    found[rows] = True
    return found


def _suspects(scene: Gaussians, cameras: Sequence[Camera]) -> Int[Tensor, "S"]:
    """Rows of those that are wide and near to some camera, and in no frame."""
    nearest = torch.full((len(scene),), math.inf, device=scene.device)
    for camera in cameras:
        nearest = torch.minimum(nearest, (scene.means - camera.position).norm(dim=-1))
    rows = (_across(scene) > WIDE * nearest).nonzero()[:, 0]
    means, across = scene.means[rows], _across(scene)[rows]
    some = scene.means[:: max(1, len(scene) // SAMPLE)]
    near, framed = (torch.zeros(len(rows), dtype=torch.bool, device=scene.device) for _ in range(2))
    for camera in cameras:
        inside, depths = camera.frames(some)
        distances = (means - camera.position).norm(dim=-1)
        if bool(inside.any()):
            near |= (distances < NEAR * depths[inside].median()) & (across > WIDE * distances)
        framed |= camera.frames(means)[0]
    return rows[near & ~framed]


def _needed(suspects: Gaussians, shown: Float[Tensor, "S"], camera: Camera) -> Bool[Tensor, "S"]:
    """Of which a photo shows enough to tell what they are, or that it would miss; `shown` in pixels."""
    radii = _across(suspects) / (suspects.means - camera.position).norm(dim=-1).clamp_min(1e-9) * camera.K[0, 0]
    whole = 2 * math.pi * radii.square() * suspects.opacities
    return (shown > MISSED * camera.width * camera.height) | (shown > SHOWN * whole.clamp_min(1))


def covered(scene: Gaussians, camera: Camera, rasterizer: Rasterizer, mode: RenderMode) -> Float[Tensor, "N"]:
    """Pixels that each splat covers: its blending weights in a camera, summed."""
    everywhere = torch.ones(camera.height, camera.width, 1, device=scene.device)
    return rasterizer.contributions(scene, camera, everywhere, mode=mode)[:, 0]


def _across(scene: Gaussians) -> Float[Tensor, "N"]:
    """Standard deviation as seen from the broad side: the geometric mean of the two largest."""
    return scene.scales.sort(-1, descending=True).values[:, :2].prod(-1).sqrt()
