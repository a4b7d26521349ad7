"""After SR3R's forward pass: the scene fitted to the low-resolution photos it was super-resolved from.

An addition to the paper. What is fitted is drawn as those photos saw it (`low_mode`: the large picture's own
filter and a small pixel's square), so a fit takes no detail away that small photos cannot see.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from jaxtyping import Bool
from torch import Tensor

from gaussian_lens_app.jobs.report import Report, within
from gaussian_lens_app.methods.base import Task
from gaussian_lens_app.methods.scene_windows import spread, whole_view, without_outliers
from gaussian_lens_app.methods.sr3r_views import low_mode
from gaussian_lens_app.methods.targets import MARGIN, Target, surroundings, widened, windows_of
from gaussian_lens_app.optimize.local import LocalFitSettings, LocalProblem, fit_local, second_half
from gaussian_lens_app.scene import Capture, Gaussians, Photo, PhotoView
from gaussian_lens_app.select.misfits import MOST
from gaussian_lens_app.select.small_views import small_view


@dataclass(frozen=True)
class LowFitSettings:
    """How long the fit goes on, and to how many photos."""

    rounds: int = 20
    """Steps for each photo, one photo a step; 0: the forward pass alone..."""
    most_steps_for: int = 24
    """...and where there are more photos than these: all have their say in as many steps as these would take."""
    most_photos: int = 64
    """Of a whole scene, spread over the capture."""
    outlier: float = MOST
    """Photos whose squared error is more than this times the middle photo's are left out."""
    local: LocalFitSettings = field(default_factory=lambda: LocalFitSettings(largest_window=1 << 16, check_every=25))
    """Rates, and steps between previews; its steps follow from the rounds."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """What came of it."""

    gaussians: Gaussians
    steps: int
    photos: tuple[str, ...]
    """Those that were fitted to."""
    glimpses: tuple[str, ...]
    """Of those kept out, as small as the scene has seen them."""


def fitted_low(
    task: Task,
    photos: Sequence[Photo],
    replaced: Bool[Tensor, "N"],
    start: Gaussians,
    settings: LowFitSettings,
    report: Report,
    *,
    deadline: float,
    watch: Callable[[Gaussians], None],
) -> Fitted | None:
    """`start`, which stands in the place of `replaced`, fitted to `photos`; all else stands still.

    The photos are those of `task.region.views`, in that order, as small as they are to be looked at. None when it is
    past the `deadline` (of time.monotonic), or where the photos are too small to show any of it.
    """
    windows, glimpses = _windows(task, photos, settings, within(report, 0.0, 0.1))
    seconds = deadline - time.monotonic()
    if not windows or seconds <= 0:
        return None
    every = [*windows, *glimpses]
    frozen = surroundings(task.scene, replaced, every)
    problem = LocalProblem(frozen, every, [], task.rasterizer, low_mode(task.mode))
    rates = dataclasses.replace(settings.local, steps=settings.rounds * min(len(every), settings.most_steps_for))
    watched = second_half(rates, watch)
    fit = fit_local(problem, start, rates, within(report, 0.1, 1.0), seconds=seconds, seed=task.seed, watch=watched)
    names, kept = (tuple(window.name for window in some) for some in (windows, glimpses))
    return Fitted(fit.gaussians, fit.steps, names, kept)


def _windows(
    task: Task, photos: Sequence[Photo], settings: LowFitSettings, report: Report
) -> tuple[list[Target], list[Target]]:
    """(the photos' windows on the region, whole for a whole scene, less those that contradict the scene; glimpses)."""
    assert task.capture is not None
    if task.box is None:
        own = list(enumerate(task.region.views))
        views = [whole_view(dataclasses.replace(view, photo=i), photos[i].camera.rect) for i, view in own]
        views = spread(views, settings.most_photos)
    else:
        views = [_small(task.capture, view, photos[i], i) for i, view in enumerate(task.region.views)]
        views = [widened(view, photos[view.photo].camera, MARGIN) for view in views if bool(view.mask.any())]
    if not views:
        return [], []
    capture = dataclasses.replace(task.capture, photos=tuple(photos))
    looking = dataclasses.replace(task, capture=capture, mode=low_mode(task.mode))
    windows = windows_of(looking, views, task.glimpses, report=report)
    return without_outliers(windows[: len(views)], settings.outlier), windows[len(views) :]


def _small(capture: Capture, view: PhotoView, photo: Photo, index: int) -> PhotoView:
    """`view` of a large photo in the pixels of the small one, which is the `index`-th."""
    large = capture.photos[view.photo]
    factor = max(large.camera.width, large.camera.height) / max(photo.camera.width, photo.camera.height)
    return dataclasses.replace(small_view(large, view, factor)[1], photo=index)
