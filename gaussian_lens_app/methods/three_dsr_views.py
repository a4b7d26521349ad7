"""What 3DSR works on: windows of low-resolution photos, or of the scene's own renders where there are none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.errors import NothingSelected
from gaussian_lens_app.methods.base import Task
from gaussian_lens_app.methods.own_views import own_views
from gaussian_lens_app.scene import Camera, Photo, Rect

MARGIN = 0.15
"""A window shows this part of a box's sides more on each side: the prior needs surroundings."""


@dataclass(frozen=True, eq=False)
class SmallView:
    """A window of a small picture and of the large one it is to become."""

    name: str
    camera: Camera
    """Of the large picture, all of it."""
    rect: Rect
    """Window of the large picture; whole pixels of the small one."""
    small: Float[Tensor, "h w 3"]
    weight: Float[Tensor, "H W"] | None
    """Of the window's large pixels; None: all count."""


def small_views(task: Task, scale: int, long_side: int) -> tuple[list[SmallView], str]:
    """(the views, "photos" or "renders": where the small pictures are from).

    Photos, or the windows of them that show the box, are reduced to at most `long_side` pixels.
    """
    if task.region.count == 0:
        raise NothingSelected("Nothing is selected: drag a box over something that is drawn.")
    device = task.scene.device
    if task.capture is None or not task.region.views:
        own = own_views(task.scene, task.region.selected, task.box, task.rasterizer, task.mode)
        return [_view(photo, photo.camera.rect, None, scale, long_side, device) for photo in own.photos], "renders"
    views = []
    for seen in task.region.views:
        photo = task.capture.photos[seen.photo]
        mask = None if task.box is None else seen.mask
        views.append(_view(photo, seen.rect, mask, scale, long_side, device))
    return views, "photos"


def _view(photo: Photo, rect: Rect, mask: Tensor | None, scale: int, long_side: int, device: torch.device) -> SmallView:
    x0, y0, x1, y1 = photo.camera.rect if mask is None else _widened(rect, photo.camera)
    full = max(photo.camera.width, photo.camera.height)
    small = photo.with_long_side(max(1, round(full * min(1.0, long_side / max(x1 - x0, y1 - y0)))))
    across, down = small.camera.width / photo.camera.width, small.camera.height / photo.camera.height
    right, lower = min(math.ceil(x1 * across), small.camera.width), min(math.ceil(y1 * down), small.camera.height)
    window: Rect = (math.floor(x0 * across), math.floor(y0 * down), right, lower)
    large = small.camera.resized(small.camera.width * scale, small.camera.height * scale)
    scaled: Rect = (window[0] * scale, window[1] * scale, window[2] * scale, window[3] * scale)
    weight = None if mask is None else _weight(mask, rect, photo.camera, scaled, large)
    return SmallView(photo.name, large.to(device), scaled, small.crop(window).to(device), weight)


def _widened(rect: Rect, camera: Camera) -> Rect:
    x0, y0, x1, y1 = rect
    dx, dy = round(MARGIN * (x1 - x0)), round(MARGIN * (y1 - y0))
    return (max(0, x0 - dx), max(0, y0 - dy), min(camera.width, x1 + dx), min(camera.height, y1 + dy))


def _weight(mask: Tensor, rect: Rect, camera: Camera, window: Rect, large: Camera) -> Float[Tensor, "H W"]:
    """1 where the photo shows the region, a tenth around it: that holds the surroundings in place."""
    x0, y0, x1, y1 = rect
    whole = torch.full((camera.height, camera.width), 0.1, device=mask.device)
    whole[y0:y1, x0:x1] = torch.where(mask, 1.0, 0.1)
    sized = F.interpolate(whole[None, None], (large.height, large.width), mode="nearest")[0, 0]
    return sized[window[1] : window[3], window[0] : window[2]].contiguous()


def cameras_of(views: Sequence[SmallView]) -> list[Camera]:
    return [view.camera for view in views]
