"""Box -> Region: Gaussians chosen by opacity contribution, as in GaussianLens, with a unit and a share."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.errors import CaptureError
from gaussian_lens_app.raster import ANTIALIASED, Rasterizer, RenderMode
from gaussian_lens_app.scene import Box, Camera, Capture, Gaussians, Rect, Region
from gaussian_lens_app.scene.gaussians import rotations
from gaussian_lens_app.select.photos import rank_photos


@dataclass(frozen=True)
class SelectSettings:
    """When a Gaussian belongs to a box."""

    resolution: int = 256
    """Contributions are counted in pixels of an image in which the box's longer side has so many pixels (the paper's
    crops are 256x256), so the same box means the same on any screen and at any zoom."""
    amount: float = 0.1
    """Least blending weight sum(alpha T) inside the box, in those pixels (the paper's tau)."""
    share: float = 0.5
    """Least part of a Gaussian's contribution to the view that falls inside the box. Amount alone picks up the large
    background Gaussians that the box only touches."""
    visibility: float = 0.05
    """Least part of what a Gaussian would contribute with nothing in front of it: what only shines through the seams of
    a surface belongs to what is behind it."""
    photos: int = 2
    """With a capture, a Gaussian must reach `amount` in so many photos (the paper's rule; all if fewer)."""
    largest_render: int = 1600
    """Longer side of the biggest image rendered for selecting."""


def select_region(
    scene: Gaussians,
    box: Box,
    capture: Capture | None,
    rasterizer: Rasterizer,
    *,
    mode: RenderMode = ANTIALIASED,
    through: bool = False,
    max_depth: float | None = None,
    settings: SelectSettings | None = None,
) -> Region:
    """The Gaussians that make up what is in the box, and the photos that see them, best first.

    Visible first: what is hidden behind other Gaussians contributes nothing and is not selected, unless `through`,
    which takes everything whose centre projects into the box; of either, with `max_depth`, what lies no deeper in the
    box's view (z, world units). An empty region is a valid answer. Raises CaptureError when the box lies outside its
    camera's image.
    """
    settings = settings or SelectSettings()
    inside, total = box_contributions(scene, box, rasterizer, mode, settings)
    visible = (inside > settings.amount) & (inside > settings.share * total)
    rows = visible.nonzero()[:, 0]
    enough = total[rows] > settings.visibility * unhidden_contributions(scene.take(rows), box, settings)
    visible[rows[~enough]] = False
    selected = centres_in_box(scene, box) if through else visible
    if max_depth is not None:
        selected = selected & (box.camera.to(scene.device).to_camera(scene.means)[:, 2] <= max_depth)
    if capture is None or not bool(selected.any()):
        return Region(selected, inside)
    views, seen = rank_photos(scene, selected, inside, box, capture, rasterizer, mode, settings.amount)
    if not through and len(capture) >= settings.photos:
        rows = selected.nonzero()[:, 0]
        selected = torch.zeros_like(selected).index_fill(0, rows[seen >= min(settings.photos, len(views))], True)
    return Region(selected, inside, views)


def region_of(
    scene: Gaussians,
    selected: Bool[Tensor, "N"],
    weights: Float[Tensor, "N"],
    box: Box,
    capture: Capture | None,
    rasterizer: Rasterizer,
    mode: RenderMode = ANTIALIASED,
) -> Region:
    """The region of Gaussians chosen by hand, with the photos that see them; `box` is whence they are looked at."""
    if capture is None or not bool(selected.any()):
        return Region(selected, weights)
    weights = torch.where(selected, weights.clamp_min(1e-6), weights)
    views, _ = rank_photos(scene, selected, weights, box, capture, rasterizer, mode, SelectSettings().amount)
    return Region(selected, weights, views)


def box_depth(scene: Gaussians, box: Box, rasterizer: Rasterizer, mode: RenderMode = ANTIALIASED) -> float | None:
    """Median depth (z, world units) of what the box shows; None when it shows nothing."""
    with torch.inference_mode():
        depth = rasterizer.render(scene, box.camera.to(scene.device), mode=mode, crop=_clipped(box)).median_depth
    drawn = depth[depth > 0]
    return float(drawn.median()) if len(drawn) else None


def box_contributions(
    scene: Gaussians, box: Box, rasterizer: Rasterizer, mode: RenderMode, settings: SelectSettings
) -> tuple[Float[Tensor, "N"], Float[Tensor, "N"]]:
    """Each Gaussian's blending weight inside the box and around it, in pixels of the stated resolution.

    Around is three boxes wide and high: what has less than half of that inside has no more of the whole view inside,
    and the work follows the box, not the scene.
    """
    rect = _clipped(box)
    camera, factor = _selection_camera(box.camera, rect, settings)
    x0, y0, x1, y1 = (value * factor for value in rect)
    inner = (round(x0), round(y0), max(round(x1), round(x0) + 1), max(round(y1), round(y0) + 1))
    around = _around(inner, camera)
    weights = torch.zeros(around[3] - around[1], around[2] - around[0], 2, device=scene.device)
    weights[..., 1] = 1
    left, top = around[:2]
    weights[inner[1] - top : inner[3] - top, inner[0] - left : inner[2] - left, 0] = 1
    sums = rasterizer.contributions(scene, camera, weights, mode=mode.scaled(factor), crop=around)
    pixel_area = (settings.resolution / (max(rect[2] - rect[0], rect[3] - rect[1]) * factor)) ** 2
    sums = sums * pixel_area
    return sums[:, 0], sums[:, 1]


def _around(rect: Rect, camera: Camera) -> Rect:
    """The rectangle with a margin of its own size, inside the view."""
    x0, y0, x1, y1 = rect
    width, height = x1 - x0, y1 - y0
    return max(0, x0 - width), max(0, y0 - height), min(camera.width, x1 + width), min(camera.height, y1 + height)


def unhidden_contributions(scene: Gaussians, box: Box, settings: SelectSettings) -> Float[Tensor, "N"]:
    """What each Gaussian would contribute alone, opacity * 2 pi sqrt(det cov2d), in pixels of the stated resolution."""
    camera = box.camera.to(scene.device)
    local = camera.to_camera(scene.means)
    z = local[:, 2].clamp_min(1e-6)
    J = scene.means.new_zeros(len(scene), 2, 3)
    J[:, 0, 0], J[:, 1, 1] = camera.K[0, 0] / z, camera.K[1, 1] / z
    J[:, :, 2] = -local[:, :2] / z[:, None] * torch.stack([J[:, 0, 0], J[:, 1, 1]], -1)
    axes = rotations(scene.quats) * scene.scales[:, None]
    half = J @ camera.viewmat[:3, :3] @ axes
    area = 2 * math.pi * torch.linalg.det(half @ half.mT).clamp_min(0).sqrt()
    x0, y0, x1, y1 = box.rect
    return scene.opacities * area * (settings.resolution / max(x1 - x0, y1 - y0)) ** 2


def centres_in_box(scene: Gaussians, box: Box) -> Bool[Tensor, "N"]:
    """Gaussians in front of the camera whose centre projects into the box, hidden or not."""
    x0, y0, x1, y1 = box.rect
    pixels, depths = box.camera.to(scene.device).project(scene.means)
    x, y = pixels.unbind(-1)
    return (depths > 0) & (x >= x0) & (x < x1) & (y >= y0) & (y < y1)


def _clipped(box: Box) -> Rect:
    x0, y0, x1, y1 = box.rect
    x0, y0 = max(0, x0), max(0, y0)
    x1, y1 = min(box.camera.width, x1), min(box.camera.height, y1)
    if x1 <= x0 or y1 <= y0:
        raise CaptureError(
            f"The box {box.rect} lies outside the {box.camera.width}x{box.camera.height} view: "
            "give x0 < x1 and y0 < y1 inside it."
        )
    return (x0, y0, x1, y1)


def _selection_camera(camera: Camera, rect: Rect, settings: SelectSettings) -> tuple[Camera, float]:
    """The view at the stated resolution, or at the largest allowed; (camera, its pixels per pixel of the box's)."""
    wanted = settings.resolution / max(rect[2] - rect[0], rect[3] - rect[1])
    factor = min(wanted, 1.0, settings.largest_render / max(camera.width, camera.height))
    resized = camera.resized(max(1, round(camera.width * factor)), max(1, round(camera.height * factor)))
    return resized, resized.width / camera.width
