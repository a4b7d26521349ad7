"""Which photos see a region, where, and how well."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gaussian_lens_app.raster import Rasterizer, RenderMode
from gaussian_lens_app.raster.base import NEAR
from gaussian_lens_app.raster.chunks import REACH
from gaussian_lens_app.scene import Box, Camera, Capture, Gaussians, PhotoView, Rect

CANDIDATES = 10
"""So many photos are rendered to see what hides the region; the others are ranked out by geometry alone..."""
ELSEWHERE = 3
"""...of them so many from as many sides as there are, not from the viewer's: what is fitted from one side alone can be
right from there and wrong from anywhere else."""
LONG_SIDE = 320
"""Masks are rendered at this size and enlarged: their edge needs no more."""
SLANT = 1.5
"""Splats at the edge of a wide view are drawn out by so much."""
LEAST_OVERLAP = 0.15
LEAST_COSINE = 0.2


def rank_photos(
    scene: Gaussians,
    selected: Bool[Tensor, "N"],
    weights: Float[Tensor, "N"],
    box: Box,
    capture: Capture,
    rasterizer: Rasterizer,
    mode: RenderMode,
    amount: float,
) -> tuple[tuple[PhotoView, ...], Int[Tensor, "M"]]:
    """The photos that see the region, best first, and for each selected Gaussian in how many of them it contributes.

    `weights` is each Gaussian's contribution to the box; `amount` the contribution (in photo pixels at full size) from
    which a Gaussian counts as seen.
    """
    rows = selected.nonzero()[:, 0]
    part, share = scene.take(rows), weights[rows]
    share = share / share.sum().clamp_min(1e-12)
    cameras = [photo.camera.to(scene.device) for photo in capture.photos]
    centre = (part.means * share[:, None]).sum(0)
    directions = _directions(cameras, centre)
    viewers = _directions([box.camera.to(scene.device)], centre)[0]
    geometry = [
        _geometry(camera, float(direction @ viewers), part.means, share, centre)
        for camera, direction in zip(cameras, directions, strict=True)
    ]
    candidates = _candidates(geometry, directions)
    sharpest = max((geometry[i][2] for i in candidates), default=1.0)
    views: list[PhotoView] = []
    chosen = selected[:, None].float()
    seen = torch.zeros(len(rows), dtype=torch.long, device=scene.device)
    for index in candidates:
        _, cosine, resolution = geometry[index]
        camera = cameras[index]
        mask, sums = _look(scene, chosen, part, camera, rasterizer, mode)
        visible = sums[rows] > amount
        overlap = float((share * visible).sum())
        if overlap < LEAST_OVERLAP or not bool(mask.any()):
            continue
        rect, mask = _window(mask, camera)
        seen += visible
        score = _score(overlap, cosine, resolution / sharpest)
        views.append(PhotoView(index, rect, mask, overlap, resolution, cosine, score))
    return tuple(sorted(views, key=lambda view: -view.score)), seen


def _directions(cameras: Sequence[Camera], centre: Float[Tensor, "3"]) -> Float[Tensor, "P 3"]:
    """Unit vectors from the photos to the region."""
    return F.normalize(torch.stack([centre - camera.position for camera in cameras]), dim=-1)


def _candidates(geometry: Sequence[tuple[float, float, float]], directions: Float[Tensor, "P 3"]) -> list[int]:
    """The best photos, then those that look from where none of the others does."""
    ranked = sorted(range(len(geometry)), key=lambda i: -_score(*geometry[i]))
    able = [i for i in ranked if geometry[i][0] >= LEAST_OVERLAP and geometry[i][1] >= LEAST_COSINE]
    chosen, left = able[: CANDIDATES - ELSEWHERE], able[CANDIDATES - ELSEWHERE :]
    while left and len(chosen) < CANDIDATES:
        nearest = (directions[left] @ directions[chosen].T).max(1).values
        chosen.append(left.pop(int(nearest.argmin())))
    return chosen


def _geometry(photo: Camera, cosine: float, means: Tensor, share: Tensor, centre: Tensor) -> tuple[float, float, float]:
    """(share of the region inside the photo, cosine to the viewer's direction, pixels per world length)."""
    inside, _ = photo.frames(means)
    depth = float(photo.to_camera(centre[None])[0, 2])
    resolution = float(photo.K[0, 0]) / depth if depth > 0 else 0.0
    return float((share * inside).sum()), cosine, resolution


def _score(overlap: float, cosine: float, resolution: float) -> float:
    """A photo counts for what it sees of the region, from nearly the viewer's side, at high resolution."""
    return overlap * max(0.0, cosine) ** 4 * resolution**0.5


def _look(
    scene: Gaussians,
    chosen: Float[Tensor, "N 1"],
    part: Gaussians,
    photo: Camera,
    rasterizer: Rasterizer,
    mode: RenderMode,
) -> tuple[Bool[Tensor, "h w"], Float[Tensor, "N"]]:
    """(where the photo shows mostly chosen Gaussians, small; each Gaussian's contribution there in the photo's pixels).

    `chosen` is 1 for the rows of `part` and 0 for others.
    """
    small = photo.with_long_side(LONG_SIDE) if max(photo.width, photo.height) > LONG_SIDE else photo
    factor = small.width / photo.width
    mode, rect = mode.scaled(factor), _reach(part, small)
    mask = torch.zeros(small.height, small.width, dtype=torch.bool, device=scene.device)
    if rect is None:
        return mask, torch.zeros(len(scene), device=scene.device)
    x0, y0, x1, y1 = rect
    with torch.no_grad():
        render = rasterizer.render(scene, small, mode=mode, crop=rect, features=chosen, sh_degree=0)
        ones = torch.ones(y1 - y0, x1 - x0, 1, device=scene.device)
        sums = rasterizer.contributions(scene, small, ones, mode=mode, crop=rect)[:, 0]
    assert render.features is not None
    mask[y0:y1, x0:x1] = render.features[..., 0] > 0.5
    return mask, sums.div_(factor**2)


def _reach(part: Gaussians, camera: Camera) -> Rect | None:
    """The window of the view that a part of the scene can show in; None when it is elsewhere."""
    pixels, depths = camera.project(part.means)
    ahead = depths > NEAR
    if not bool(ahead.any()):
        return None
    pixels, depths = pixels[ahead], depths[ahead]
    reach = REACH * part.scales[ahead].amax(1) * float(camera.K[0, 0]) / depths * SLANT + 2
    low, high = (pixels - reach[:, None]).amin(0).floor(), (pixels + reach[:, None]).amax(0).ceil()
    size = pixels.new_tensor([camera.width, camera.height])
    low, high = torch.minimum(low.clamp_min(0), size), torch.minimum(high.clamp_min(0), size)
    rect = (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
    return rect if rect[2] > rect[0] and rect[3] > rect[1] else None


def _window(mask: Tensor, photo: Camera) -> tuple[Rect, Tensor]:
    """Bounding window of a small mask in the photo's pixels, without stray specks, and the mask in it."""
    sizes = ((photo.height, mask.shape[0]), (photo.width, mask.shape[1]))
    (y0, y1), (x0, x1) = (
        _span(mask.any(dim) & _dense(mask, dim), *size) for dim, size in zip((1, 0), sizes, strict=True)
    )
    large = F.interpolate(mask[None, None].float(), (photo.height, photo.width), mode="bilinear")[0, 0]
    return (x0, y0, x1, y1), large[y0:y1, x0:x1] > 0.5


def _dense(mask: Tensor, dim: int) -> Tensor:
    """Rows (or columns) between the first and last half percent of the mask's pixels."""
    counts = mask.sum(dim).cumsum(0).float() / mask.sum()
    return (counts > 0.005) & (torch.roll(counts, 1).index_fill(0, torch.tensor([0], device=mask.device), 0) < 0.995)


def _span(rows: Tensor, full: int, small: int) -> tuple[int, int]:
    where = rows.nonzero()[:, 0]
    margin = 1
    start = (int(where[0]) - margin) * full / small
    end = (int(where[-1]) + 1 + margin) * full / small
    return max(0, int(start)), min(full, int(end + 0.999))
