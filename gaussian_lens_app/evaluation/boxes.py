"""Which boxes of a test photo are measured: the centre, then where the low-resolution photo lacks most."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.scene import Rect

GRID = 4
"""A box is a quarter of each side."""


def boxes_at(width: int, height: int, places: Sequence[tuple[float, float]]) -> list[Rect]:
    """A box around each place (x, y, parts of the photo's sides), moved inside the photo where it would stick out."""
    w, h = width // GRID, height // GRID
    corners = [(round(x * width - w / 2), round(y * height - h / 2)) for x, y in places]
    inside = [(min(max(0, x), width - w), min(max(0, y), height - h)) for x, y in corners]
    return [(x, y, x + w, y + h) for x, y in inside]


def choose_boxes(photo: Float[Tensor, "H W 3"], count: int, low_long_side: int = 400) -> list[Rect]:
    """At most `count` boxes that do not overlap; the same photo always gives the same boxes."""
    height, width = photo.shape[:2]
    taken = [_centre(width, height)]
    if count > 1:
        for box in by_missing_energy(photo, low_long_side):
            if not any(_overlap(box, other) for other in taken):
                taken.append(box)
    return taken[:count]


def by_missing_energy(photo: Float[Tensor, "H W 3"], low_long_side: int) -> list[Rect]:
    """The cells of the 4x4 grid, most missing energy first, in reading order where equal."""
    height, width = photo.shape[:2]
    missing = missing_energy(photo, low_long_side)
    w, h = width // GRID, height // GRID
    cells = [(j * width // GRID, i * height // GRID) for i in range(GRID) for j in range(GRID)]
    boxes = [(x, y, x + w, y + h) for x, y in cells]
    energies = [missing[y0:y1, x0:x1].double().mean().item() for x0, y0, x1, y1 in boxes]
    return [boxes[i] for i in sorted(range(len(boxes)), key=lambda i: (-energies[i], i))]


def missing_energy(photo: Float[Tensor, "H W 3"], low_long_side: int) -> Float[Tensor, "H W"]:
    """Squared difference of the photo and its `low_long_side` version enlarged again (area down, bicubic up)."""
    height, width = photo.shape[:2]
    factor = low_long_side / max(height, width)
    if factor >= 1:
        return torch.zeros(height, width)
    planes = photo.permute(2, 0, 1)[None]
    low = F.interpolate(planes, (max(1, round(height * factor)), max(1, round(width * factor))), mode="area")
    return (planes - F.interpolate(low, (height, width), mode="bicubic"))[0].square().mean(0)


def _centre(width: int, height: int) -> Rect:
    w, h = width // GRID, height // GRID
    x, y = (width - w) // 2, (height - h) // 2
    return (x, y, x + w, y + h)


def _overlap(a: Rect, b: Rect) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
