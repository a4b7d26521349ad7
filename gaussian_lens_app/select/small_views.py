"""How a smaller version of a photo sees a region."""

from __future__ import annotations

import dataclasses

import torch.nn.functional as F

from gaussian_lens_app.scene import Photo, PhotoView


def small_view(photo: Photo, view: PhotoView, factor: float) -> tuple[Photo, PhotoView]:
    """(the photo `factor` times smaller, `view` in its pixels); the mask may come out empty."""
    small = photo.with_long_side(max(1, round(max(photo.camera.width, photo.camera.height) / factor)))
    fx, fy = small.camera.width / photo.camera.width, small.camera.height / photo.camera.height
    x0, y0, x1, y1 = view.rect
    left, top = int(x0 * fx), int(y0 * fy)
    right, bottom = max(left + 1, int(x1 * fx)), max(top + 1, int(y1 * fy))
    size = (bottom - top, right - left)
    mask = F.interpolate(view.mask[None, None].float(), size=size, mode="area")[0, 0] > 0.5
    return small, dataclasses.replace(view, rect=(left, top, right, bottom), mask=mask)
