"""What a scene has seen of its photos: how large, and a photo at that size."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from gaussian_lens_app.methods.base import Glimpse, Task
from gaussian_lens_app.raster import RenderMode
from gaussian_lens_app.scene import Gaussians, Photo, PhotoView, Region
from gaussian_lens_app.scene.sample import sample
from gaussian_lens_app.select.small_views import small_view

SIGMA = 1.4
"""The typical splat of a scene made from photos of some size has a sigma of about so many of their pixels."""
SMALLEST, LARGEST = 2.0, 4.0
"""A glimpse is so many times smaller than the photo. A scene made from photos less than twice as small has seen all
of it. Where there is little to see splats are far larger than the pixels they were made from, so they only say that
photos were no larger than that: a quarter of the side is enough to keep a fit from forgetting what was there."""
LARGER = 1.5
"""Photos so many times as large as those that a scene was made from hold more than it has seen."""
CLOSER = 4.0
"""Where they hold no more, whoever sharpens a scene looks at it from about so many times closer than they do."""
LOOKED_AT = 200_000
"""So many splats tell the typical size of all to half a percent; sorting millions takes a second each time."""
LEAST_PIXELS = 4
"""A glimpse with fewer pixels of the region says nothing."""


def splat_size(scene: Gaussians, region: Region) -> float:
    """The middle scale of the region's typical Gaussian, world units: half of what is seen there is of smaller ones."""
    rows = sample(region.selected.nonzero()[:, 0], LOOKED_AT)
    middle = scene.log_scales[rows].sort(-1).values[:, 1].exp()
    order = middle.argsort()
    weights = region.contributions[rows][order].cumsum(0)
    return float(middle[order][int((weights < weights[-1] / 2).sum())])


def times_as_large(resolution: float, scene: Gaussians, region: Region) -> float:
    """How many times as large a photo of that resolution (pixels a world unit) is as those that the splats are from."""
    return resolution * splat_size(scene, region) / SIGMA


def as_it_is(view: PhotoView) -> float:
    """For photos that are looked at in their own size."""
    return 1.0


def new_to_see(scene: Gaussians, region: Region, shrunk: Callable[[PhotoView], float] = as_it_is) -> bool:
    """Whether the middle photo of the region, `shrunk` to that part of its size, holds more than the scene has seen."""
    resolutions = [shrunk(view) * view.resolution for view in region.views]
    return bool(resolutions) and times_as_large(statistics.median(resolutions), scene, region) > LARGER


def seen_mode(
    mode: RenderMode, scene: Gaussians, region: Region, shrunk: Callable[[PhotoView], float] = as_it_is
) -> RenderMode:
    """With which the region's photos, `shrunk`, are compared with the scene that is looked at in `mode`.

    Those that hold no more than it has seen show it smaller than people look at it: each of their pixels is a mean of
    what is drawn. With the plain filter a fit makes up for a blur that nobody sees.
    """
    return mode if new_to_see(scene, region, shrunk) else mode.averaged(CLOSER)


def glimpse_of(photo: Photo, view: PhotoView, scene: Gaussians, region: Region) -> Glimpse | None:
    """The photo as small as those the region's splats were made from; None where the scene has seen all of it."""
    factor = min(LARGEST, times_as_large(view.resolution, scene, region))
    if factor < SMALLEST:
        return None
    small, seen = small_view(photo, view, factor)
    return Glimpse(small, seen) if int(seen.mask.sum()) >= LEAST_PIXELS else None


def glimpses_of(task: Task, kept: Sequence[PhotoView]) -> list[Glimpse]:
    """Of the photos kept from the method, and of those that it keeps out itself."""
    assert task.capture is not None
    own = [glimpse_of(task.capture.photos[view.photo], view, task.scene, task.region) for view in kept]
    return [*task.glimpses, *(glimpse for glimpse in own if glimpse is not None)]
