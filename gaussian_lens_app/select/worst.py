"""Boxes over the worst places of a scene, found without anyone pointing at them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.raster import Rasterizer, RenderMode
from gaussian_lens_app.scene import Box, Camera, Capture, Gaussians
from gaussian_lens_app.select.region import centres_in_box

MAP = 240
"""Long side of the map of a photo's view in which boxes are sought."""
SIDE = 0.22
"""Side of a box, of the view's shorter side."""
VIEWS = 8
"""Photos from whose cameras the scene is looked at, spread over the capture."""
LEAST = 0.25
"""A place counts while its score is at least this part of the first one's."""


def worst_boxes(
    scene: Gaussians,
    scores: Float[Tensor, "N"],
    capture: Capture,
    rasterizer: Rasterizer,
    mode: RenderMode,
    count: int = 3,
) -> list[Box]:
    """Up to `count` boxes in cameras of the photos over clusters of high scores, the worst first, none twice.

    Scores are any amount for each Gaussian that is 0 where nothing is wrong, as a rule those of `scene_scores`.
    """
    step = max(1, len(capture) // VIEWS)
    cameras = [photo.camera for photo in capture.photos[::step]]
    left, boxes, first = scores.clone(), [], 0.0
    while len(boxes) < count:
        found = [one for camera in cameras for one in boxes_in_view(scene, left, camera, rasterizer, mode, count=1)]
        value, box = max(found, key=lambda one: one[0], default=(0.0, None))
        first = first or value
        if box is None or value < LEAST * first:
            break
        boxes.append(box)
        left = torch.where(centres_in_box(scene, box), 0.0, left)
    return boxes


def boxes_in_view(
    scene: Gaussians,
    scores: Float[Tensor, "N"],
    camera: Camera,
    rasterizer: Rasterizer,
    mode: RenderMode,
    count: int = 3,
    weight: Float[Tensor, "h w"] | None = None,
) -> list[tuple[float, Box]]:
    """Up to `count` boxes of this view where scores are high, the highest first, with the mean of their pixels.

    `weight`: how much a box around each pixel of the view's map (`map_camera`) counts; None: all alike.
    """
    means, side = _means(scene, scores, camera, rasterizer, mode)
    if weight is not None:
        means = means * weight[side // 2 :, side // 2 :][: means.shape[0], : means.shape[1]]
    found: list[tuple[float, Box]] = []
    while len(found) < count:
        y, x = divmod(int(means.argmax()), means.shape[1])
        value = float(means[y, x])
        if value <= 0 or (found and value <= LEAST * found[0][0]):
            break
        found.append((value, _enlarged(camera, x, y, side)))
        means[max(0, y - side) : y + side + 1, max(0, x - side) : x + side + 1] = 0
    return found


def map_camera(camera: Camera) -> Camera:
    """The view, small, as boxes are sought in it."""
    return camera.with_long_side(MAP)


def _means(
    scene: Gaussians, scores: Float[Tensor, "N"], camera: Camera, rasterizer: Rasterizer, mode: RenderMode
) -> tuple[Float[Tensor, "h w"], int]:
    """(mean score in a square at each place of the map that has room for one, the square's side)."""
    small = map_camera(camera).to(scene.device)
    mode = mode.scaled(small.width / camera.width)  # or specks would count for more than the view shows of them
    with torch.no_grad():
        drawn = rasterizer.render(scene, small, mode=mode, features=scores[:, None])
    assert drawn.features is not None
    shorter = min(small.width, small.height)
    side = min(shorter, max(3, round(SIDE * shorter)) | 1)
    return F.avg_pool2d(drawn.features[None, None, ..., 0], side, 1)[0, 0], side


def _enlarged(camera: Camera, x: int, y: int, side: int) -> Box:
    """The square of the map that begins at x, y, in the view."""
    factor = camera.width / map_camera(camera).width
    x0, y0, x1, y1 = (round(value * factor) for value in (x, y, x + side, y + side))
    return Box(camera, (x0, y0, min(camera.width, x1), min(camera.height, y1)))
