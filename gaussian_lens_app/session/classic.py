"""Opacities for viewers that do not compensate the 2D filter."""

from __future__ import annotations

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.raster import ANTIALIASED
from gaussian_lens_app.raster.base import NEAR
from gaussian_lens_app.scene import Camera, Capture, Gaussians
from gaussian_lens_app.scene.gaussians import rotations

PHOTOS = 16
"""So many cameras, evenly spread, say how large a Gaussian is drawn."""
BLOCK = 200_000
"""Rows at a time; bounds memory."""
LEAST = 0.99
"""Where the filter takes less than a hundredth of the opacity, nothing is changed and the bits stay."""


def compensated(scene: Gaussians, capture: Capture) -> Gaussians:
    """The scene whose classic picture from the photos' distance is our antialiased one.

    The classic 2D filter widens a Gaussian by eps2d without taking opacity from it, so one that is smaller than a pixel
    shines too much; the antialiased mode multiplies its opacity by sqrt(det cov / det(cov + eps2d I)). Here the same
    factor, as the photos' cameras see the Gaussian, goes into the file (its mean over those that have it in view).
    """
    step = max(1, len(capture) // PHOTOS)
    cameras = [photo.camera.to("cpu") for photo in capture.photos[::step]]
    logits = scene.logit_opacities.clone()
    for start in range(0, len(scene), BLOCK):
        rows = slice(start, start + BLOCK)
        part = scene.map(lambda tensor, rows=rows: tensor[rows])
        factor = _factors(part, cameras)
        opacity = (part.opacities * factor).clamp(1e-6, 1 - 1e-6)
        logits[rows] = torch.where(factor < LEAST, torch.logit(opacity), part.logit_opacities)
    return dataclasses.replace(scene, logit_opacities=logits)


def _factors(scene: Gaussians, cameras: list[Camera]) -> Float[Tensor, "N"]:
    """Mean of what the filter takes over the cameras that see each Gaussian; 1 where none does."""
    total, count = torch.zeros(len(scene)), torch.zeros(len(scene))
    axes = rotations(scene.quats) * scene.scales[:, None]
    for camera in cameras:
        seen, _ = camera.frames(scene.means, NEAR)
        total[seen] += filter_factor(scene.means[seen], axes[seen], camera)
        count[seen] += 1
    return torch.where(count > 0, total / count.clamp_min(1), torch.ones_like(total))


def filter_factor(means: Float[Tensor, "N 3"], axes: Float[Tensor, "N 3 3"], camera: Camera) -> Float[Tensor, "N"]:
    """sqrt(det cov / det(cov + eps2d I)) of each Gaussian's footprint; `axes` are R S."""
    local = camera.to_camera(means)
    x, y, z = local.unbind(-1)
    J = means.new_zeros(len(means), 2, 3)
    J[:, 0, 0], J[:, 1, 1] = camera.K[0, 0] / z, camera.K[1, 1] / z
    J[:, 0, 2], J[:, 1, 2] = -camera.K[0, 0] * x / z**2, -camera.K[1, 1] * y / z**2
    half = J @ camera.viewmat[:3, :3] @ axes
    cov = half @ half.mT
    blurred = cov + ANTIALIASED.eps2d * torch.eye(2)
    return (torch.linalg.det(cov).clamp_min(0) / torch.linalg.det(blurred)).sqrt()
