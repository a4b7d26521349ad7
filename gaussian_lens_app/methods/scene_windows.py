"""The photos of a whole scene as windows to look at: whole, small, none that is far off."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from gaussian_lens_app.jobs.report import Report, silent
from gaussian_lens_app.methods.base import Glimpse, Task
from gaussian_lens_app.methods.targets import Target, windows_of
from gaussian_lens_app.raster import RenderMode
from gaussian_lens_app.scene import PhotoView
from gaussian_lens_app.select.misfits import MOST, outliers


@dataclass(frozen=True)
class SceneWindowSettings:
    """Which photos of a whole scene are looked at, and how."""

    most_photos: int = 24
    """At most so many, spread over the capture."""
    long_side: int = 800
    """They are looked at in this size."""
    outlier: float = MOST
    """Photos whose squared error is more than this times the middle photo's are left out: something moved in them, or
    their cameras are wrong."""
    exposure: bool = True
    """Match each photo's brightness to the others' first."""


def scene_windows(
    task: Task, settings: SceneWindowSettings, glimpses: Sequence[Glimpse] = (), report: Report = silent
) -> tuple[RenderMode, list[Target], list[Target]]:
    """(the render mode at the windows' size, whole photos, glimpses)."""
    capture = task.capture
    assert capture is not None
    views = spread(task.region.views, settings.most_photos)
    small = capture.with_long_side(settings.long_side)
    factor = max(small.photos[view.photo].camera.width for view in views) / max(
        capture.photos[view.photo].camera.width for view in views
    )
    mode = task.mode.resized(factor)
    views = [whole_view(view, small.photos[view.photo].camera.rect) for view in views]
    looking = dataclasses.replace(task, capture=small, mode=mode)
    windows = windows_of(looking, views, glimpses, settings.exposure, report=report)
    return mode, without_outliers(windows[: len(views)], settings.outlier), windows[len(views) :]


def shrunk_to(task: Task, long_side: int) -> Callable[[PhotoView], float]:
    """What part of its own size a photo is looked at in, when it may be no longer than that."""
    capture = task.capture
    assert capture is not None

    def part(view: PhotoView) -> float:
        camera = capture.photos[view.photo].camera
        return min(1.0, long_side / max(camera.width, camera.height))

    return part


def spread(views: Sequence[PhotoView], most: int) -> list[PhotoView]:
    """At most so many of the views, evenly spread."""
    step = max(1.0, len(views) / most)
    return [views[int(i * step)] for i in range(min(len(views), most))]


def without_outliers(windows: Sequence[Target], most: float) -> list[Target]:
    """The windows whose squared error before the upgrade is at most so many times the middle one."""
    errors = torch.stack([(window.render.rgb - window.photo).square().mean() for window in windows])
    return [window for window, out in zip(windows, outliers(errors, most).tolist(), strict=True) if not out]


def whole_view(view: PhotoView, rect: tuple[int, int, int, int]) -> PhotoView:
    """The view with all of its photo for its window."""
    mask = torch.ones(1, 1, dtype=torch.bool, device=view.mask.device).expand(rect[3], rect[2])
    return dataclasses.replace(view, rect=rect, mask=mask)
