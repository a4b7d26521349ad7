"""Is the depth of a photo's pixels true? A short sweep along each pixel's ray, judged by the other photos."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.methods.targets import Target


@dataclass(frozen=True)
class DepthCheckSettings:
    """How far a pixel may move along its ray and what counts as agreement."""

    steps: int = 20
    """Candidates on either side of the scene's depth. With 5 of 1.5 pixels `refine` gained 0.1 dB less on banana
    and on brighton_beach, where the scene is wrong by more."""
    pixels_per_step: float = 2.0
    """A step moves the pixel so far in the other photo that moves most."""
    photos: int = 3
    """Photos compared with, those nearest to the pixel's own."""
    farthest: float = 0.25
    """At most this part nearer or farther (as a logarithm): photos without parallax must not move a pixel at will."""
    better: float = 0.9
    """A candidate wins when its cost is below this part of the present depth's."""
    tolerance: float = 0.2
    """Mean absolute difference (0..1, patches freed of their mean) from which photos contradict the depth..."""
    contrast: float = 1.0
    """...unless the patch itself varies so much that this part of its variation excuses more."""


_PATCH = ((0, 0), (-1, -1), (1, -1), (-1, 1), (1, 1))


def check_depths(
    target: Target,
    positions: Float[Tensor, "gh gw 2"],
    depths: Float[Tensor, "gh gw"],
    others: list[Target],
    spacing: int,
    settings: DepthCheckSettings,
) -> tuple[Float[Tensor, "gh gw"], Bool[Tensor, "gh gw"]]:
    """(depths, those that contradicted the photos moved to where they agree; False where they agree nowhere).

    Plane sweep over a few hypotheses at positions of the target's photo `spacing` pixels apart: patch differences to
    the nearest photos, smoothed over neighbours.
    """
    patches = positions[..., None, :] + spacing * positions.new_tensor(_PATCH)
    patch = _sample(target, patches)
    reference = patch - patch.mean(-2, keepdim=True)
    sights = [Sight.of(target, other, patches) for other in _nearest(target, others, settings.photos)]
    factors = _candidates(depths, sights, settings)
    costs = torch.stack([_cost(depths * factor, reference, sights) for factor in factors])
    costs = F.avg_pool2d(costs[:, None], 3, stride=1, padding=1, count_include_pad=False)[:, 0]
    best, index = costs.min(0)
    present = costs[settings.steps]
    moved = best < settings.better * present
    new_depths = torch.where(moved, depths * factors[index], depths)
    limit = torch.clamp(settings.contrast * reference.abs().mean((-1, -2)), min=settings.tolerance)
    return new_depths, torch.where(moved, best, present) < limit


@dataclass(frozen=True, eq=False)
class Sight:
    """Another photo looking along the target's pixel rays: a point at depth z lies at `ray * z + origin` before it."""

    other: Target
    rays: Float[Tensor, "gh gw P 3"]
    """The target's rays in the other photo's pixels (homogeneous), per unit of the target's depth."""
    origin: Float[Tensor, "3"]

    @staticmethod
    def of(target: Target, other: Target, pixels: Float[Tensor, "gh gw P 2"]) -> Sight:
        homogeneous = torch.cat([pixels, torch.ones_like(pixels[..., :1])], -1)
        other_from_target = other.camera.viewmat @ target.camera.camtoworld
        R, t = other_from_target[:3, :3], other_from_target[:3, 3]
        project = other.camera.K @ R @ torch.linalg.inv(target.camera.K)
        return Sight(other, homogeneous @ project.T, other.camera.K @ t)

    def pixels(self, depths: Float[Tensor, "gh gw"]) -> tuple[Float[Tensor, "gh gw P 2"], Bool[Tensor, "gh gw"]]:
        """(where the rays' points at these depths fall, whether the middle one is in the other photo's window)."""
        points = self.rays * depths[..., None, None] + self.origin
        pixels = points[..., :2] / points[..., 2:].clamp_min(1e-6)
        x0, y0, x1, y1 = self.other.rect
        x, y = pixels[..., 0, :].unbind(-1)
        return pixels, (x >= x0) & (x < x1) & (y >= y0) & (y < y1) & (points[..., 0, 2] > 0)


def _nearest(target: Target, others: list[Target], count: int) -> list[Target]:
    distance = lambda other: float((other.camera.position - target.camera.position).norm())  # noqa: E731
    return sorted(others, key=distance)[:count]


def _candidates(depths: Tensor, sights: list[Sight], settings: DepthCheckSettings) -> Float[Tensor, "2*steps+1"]:
    """Factors on the depth, in steps that move the typical pixel `pixels_per_step` in the photo that moves most."""
    usable = depths > 0
    nudge = 1e-3
    fastest = 1e-3
    for sight in sights if bool(usable.any()) else []:
        moved = sight.pixels(depths * (1 + nudge))[0] - sight.pixels(depths)[0]
        fastest = max(fastest, float(moved[usable][:, 0].norm(dim=-1).median()) / nudge)
    step = min(settings.pixels_per_step / fastest, settings.farthest / settings.steps)
    return torch.exp(step * torch.arange(-settings.steps, settings.steps + 1, device=depths.device))


def _sample(target: Target, pixels: Float[Tensor, "*B 2"]) -> Float[Tensor, "*B 3"]:
    """Bilinear samples of the target's window at positions of the whole photo; edge pixels beyond it."""
    x0, y0, x1, y1 = target.rect
    size = pixels.new_tensor([x1 - x0, y1 - y0])
    grid = (pixels - pixels.new_tensor([x0, y0])) / size * 2 - 1
    flat = grid.reshape(1, 1, -1, 2)
    image = target.photo.permute(2, 0, 1)[None]
    values = F.grid_sample(image, flat, mode="bilinear", padding_mode="border", align_corners=False)
    return values[0, :, 0].T.reshape(*pixels.shape[:-1], 3)


def _cost(depths: Tensor, reference: Float[Tensor, "gh gw P 3"], sights: list[Sight]) -> Float[Tensor, "gh gw"]:
    """Difference of the patches to the photos that agree best (the better half: the rest may be occluded)."""
    costs = torch.stack([_difference(sight, depths, reference) for sight in sights])
    return costs.sort(0).values[: (len(sights) + 1) // 2].mean(0)


def _difference(sight: Sight, depths: Tensor, reference: Tensor) -> Float[Tensor, "gh gw"]:
    pixels, inside = sight.pixels(depths)
    values = _sample(sight.other, pixels)
    difference = (values - values.mean(-2, keepdim=True) - reference).abs().mean((-1, -2))
    return torch.where(inside, difference, 1.0)
