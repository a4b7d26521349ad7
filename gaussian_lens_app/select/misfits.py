"""Photos that contradict the scene: something moved in them, or their cameras are wrong."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.errors import CaptureError
from gaussian_lens_app.jobs.report import Report, silent
from gaussian_lens_app.raster import Rasterizer, RenderMode
from gaussian_lens_app.scene import Capture, Gaussians, Photo, PhotoView, Region
from gaussian_lens_app.select.small_views import small_view

MOST = 4.0
"""A misfit's squared error (of colours 0..1) is more than so many times the middle one of the photos..."""
LEAST_ERROR = (6 / 255) ** 2
"""...and more than this. Where a scene fits its photos nearly perfectly, the noise of one camera is many times the
middle error and contradicts nothing; what moved, and what a wrong camera sees, differs by more."""
LEAST_PHOTOS = 3
"""Of two photos that disagree none can say which is wrong."""
LONG_SIDE = 400
"""Photos are compared in this size: what a scene made from small photos lacks of large ones is no misfit."""
EXPOSURE_LIMIT = 1.5
"""Matching exposures makes no photo brighter or darker by more than that."""


def outliers(errors: Float[Tensor, "P"], most: float = MOST) -> Bool[Tensor, "P"]:
    """Which photos' squared errors are more than `most` times the middle one; NaN, nothing to compare, is not."""
    return errors > (most * errors.nanmedian()).clamp_min(LEAST_ERROR)


def misfits(
    scene: Gaussians,
    views: Sequence[PhotoView],
    capture: Capture,
    rasterizer: Rasterizer,
    mode: RenderMode,
    report: Report = silent,
) -> list[PhotoView]:
    """The views, if any, in which the scene explains what they show of a region far worse than in the others.

    A fit to such a photo pulls what the others agree on out of place, and a judge with one measures nothing.
    """
    if len(views) < LEAST_PHOTOS:
        return []
    errors = []
    for index, view in enumerate(views):
        report("Comparing the photos", index / len(views))
        errors.append(_error(scene, capture.photos[view.photo], view, rasterizer, mode))
    return [view for view, out in zip(views, outliers(torch.tensor(errors)).tolist(), strict=True) if out]


def without_misfits(
    scene: Gaussians,
    region: Region,
    capture: Capture,
    rasterizer: Rasterizer,
    mode: RenderMode,
    report: Report = silent,
) -> tuple[Region, list[str]]:
    """(the region without the photos that contradict the scene, their names)."""
    wrong = misfits(scene, region.views, capture, rasterizer, mode, report)
    views = tuple(view for view in region.views if view not in wrong)
    return dataclasses.replace(region, views=views), [capture.photos[view.photo].name for view in wrong]


def _error(scene: Gaussians, photo: Photo, view: PhotoView, rasterizer: Rasterizer, mode: RenderMode) -> float:
    """Mean squared error in a small window, the photo's exposure matched to the scene's; NaN without pixels."""
    factor = max(1.0, max(photo.camera.width, photo.camera.height) / LONG_SIDE)
    small, seen = small_view(photo, view, factor)
    mask = seen.mask.to(scene.device)
    if not bool(mask.any()):
        return math.nan
    try:
        pixels = small.crop(seen.rect).to(scene.device)
    except CaptureError:  # whoever needs the photo will say that it cannot be read
        return math.nan
    camera, mode = small.camera.to(scene.device), mode.resized(1 / factor)
    with torch.no_grad():
        rendered = rasterizer.render(scene, camera, mode=mode, crop=seen.rect).rgb
    ours, theirs = rendered[mask].clamp(0, 1), pixels[mask]
    gain = (ours.sum(0) / theirs.sum(0).clamp_min(1e-6)).clamp(1 / EXPOSURE_LIMIT, EXPOSURE_LIMIT)
    return float((ours - theirs * gain).square().mean())
