"""Is the depth of a photo's pixels true? A short sweep along each pixel's ray, judged by the other photos."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.methods.targets import Target
from gaussian_lens_app.scene import Camera


@dataclass(frozen=True)
class DepthCheckSettings:
    """How far a pixel may move along its ray and what counts as agreement."""

    steps: int = 5
    """Candidates on either side of the scene's depth."""
    pixels_per_step: float = 1.5
    """A step moves the pixel so far in the other photo that moves most."""
    photos: int = 3
    """Photos compared with, those nearest to the pixel's own."""
    better: float = 0.8
    """A candidate wins when its cost is below this part of the present depth's."""
    tolerance: float = 0.06
    """Mean absolute difference (0..1, patches freed of their mean) from which photos contradict the depth..."""
    contrast: float = 0.7
    """...unless the patch itself varies so much that this part of its variation excuses more."""


_PATCH = ((0, 0), (-1, -1), (1, -1), (-1, 1), (1, 1))


def check_depths(
    target: Target,
    positions: Float[Tensor, "gh gw 2"],
    depths: Float[Tensor, "gh gw"],
    others: list[Target],
    stride: int,
    settings: DepthCheckSettings,
) -> tuple[Float[Tensor, "gh gw"], Bool[Tensor, "gh gw"]]:
    """(depths, those that contradicted the photos moved to where they agree; False where they agree nowhere).

    Plane sweep over a few hypotheses: patch differences to the nearest photos, smoothed over neighbouring blocks.
    """
    others = _nearest(target, others, settings.photos)
    factors = _candidates(target, positions, depths, others, settings)
    spread = float(max(1, stride))
    patch = _sample(target, _patches(positions, spread))
    reference = patch - patch.mean(-2, keepdim=True)
    costs = torch.stack([_cost(target, positions, depths * f, reference, others, spread) for f in factors])
    costs = F.avg_pool2d(costs[:, None], 3, stride=1, padding=1, count_include_pad=False)[:, 0]
    best, index = costs.min(0)
    present = costs[settings.steps]
    moved = best < settings.better * present
    new_depths = torch.where(moved, depths * factors[index], depths)
    limit = torch.clamp(settings.contrast * reference.abs().mean((-1, -2)), min=settings.tolerance)
    return new_depths, torch.where(moved, best, present) < limit


def _nearest(target: Target, others: list[Target], count: int) -> list[Target]:
    distance = lambda other: float((other.camera.position - target.camera.position).norm())  # noqa: E731
    return sorted(others, key=distance)[:count]


def _candidates(
    target: Target, positions: Tensor, depths: Tensor, others: list[Target], settings: DepthCheckSettings
) -> Float[Tensor, "2*steps+1"]:
    """Factors on the depth, in steps that move the typical pixel `pixels_per_step` in the photo that moves most."""
    usable = depths > 0
    pixels, z = positions[usable], depths[usable]
    nudge = 1e-3
    shifts = []
    for other in others:
        here, _ = other.camera.project(target.camera.unproject(pixels, z))
        there, _ = other.camera.project(target.camera.unproject(pixels, z * (1 + nudge)))
        shifts.append(float((there - here).norm(dim=-1).median()) / nudge if len(z) else 0.0)
    step = settings.pixels_per_step / max(max(shifts), 1e-3)
    step = min(step, 0.05)
    return torch.exp(step * torch.arange(-settings.steps, settings.steps + 1, device=depths.device))


def _patches(positions: Tensor, spread: float) -> Float[Tensor, "gh gw P 2"]:
    return positions[..., None, :] + spread * positions.new_tensor(_PATCH)


def _sample(target: Target, pixels: Float[Tensor, "*B 2"]) -> Float[Tensor, "*B 3"]:
    """Bilinear samples of the target's window at positions of the whole photo; edge pixels beyond it."""
    x0, y0, x1, y1 = target.rect
    size = pixels.new_tensor([x1 - x0, y1 - y0])
    grid = (pixels - pixels.new_tensor([x0, y0])) / size * 2 - 1
    flat = grid.reshape(1, 1, -1, 2)
    image = target.photo.permute(2, 0, 1)[None]
    values = F.grid_sample(image, flat, mode="bilinear", padding_mode="border", align_corners=False)
    return values[0, :, 0].T.reshape(*pixels.shape[:-1], 3)


def _cost(
    target: Target, positions: Tensor, depths: Tensor, reference: Tensor, others: list[Target], spread: float
) -> Float[Tensor, "gh gw"]:
    """Difference of the patches to the photos that agree best (the better half: the rest may be occluded)."""
    patches = _patches(positions, spread)
    points = target.camera.unproject(patches, depths[..., None].expand(patches.shape[:-1]))
    costs = torch.stack([_difference(other, points, reference) for other in others])
    kept = (len(others) + 1) // 2
    return costs.sort(0).values[:kept].mean(0)


def _difference(other: Target, points: Tensor, reference: Tensor) -> Float[Tensor, "gh gw"]:
    pixels, z = _project(other.camera, points)
    values = _sample(other, pixels)
    difference = (values - values.mean(-2, keepdim=True) - reference).abs().mean((-1, -2))
    x0, y0, x1, y1 = other.rect
    x, y = pixels[..., 0, :].unbind(-1)
    outside = (x < x0) | (x >= x1) | (y < y0) | (y >= y1) | (z[..., 0] <= 0)
    return difference.masked_fill(outside, 1.0)


def _project(camera: Camera, points: Tensor) -> tuple[Tensor, Tensor]:
    pixels, z = camera.project(points.reshape(-1, 3))
    return pixels.reshape(*points.shape[:-1], 2), z.reshape(points.shape[:-1])
