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
        found = [best_box(scene, left, camera, rasterizer, mode) for camera in cameras]
        value, box = max(found, key=lambda one: one[0], default=(0.0, None))
        first = first or value
        if box is None or value <= 0 or value < LEAST * first:
            break
        boxes.append(box)
        left = torch.where(centres_in_box(scene, box), 0.0, left)
    return boxes


def best_box(
    scene: Gaussians, scores: Float[Tensor, "N"], camera: Camera, rasterizer: Rasterizer, mode: RenderMode
) -> tuple[float, Box]:
    """(mean score of its pixels, the box of this view where that is highest)."""
    small = camera.with_long_side(MAP).to(scene.device)
    with torch.no_grad():
        drawn = rasterizer.render(scene, small, mode=mode.scaled(small.width / camera.width), features=scores[:, None])
    assert drawn.features is not None
    side = max(3, round(SIDE * min(small.width, small.height))) | 1
    means = F.avg_pool2d(drawn.features[None, None, ..., 0], side, 1)[0, 0]
    y, x = divmod(int(means.argmax()), means.shape[1])
    factor = camera.width / small.width
    x0, y0, x1, y1 = (round(value * factor) for value in (x, y, x + side, y + side))
    return float(means[y, x]), Box(camera, (x0, y0, min(camera.width, x1), min(camera.height, y1)))
