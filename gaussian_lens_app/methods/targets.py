"""A photo's window on a region, with what the scene shows there now."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.errors import NeedsMissing, NothingSelected
from gaussian_lens_app.jobs.report import Report, silent, within
from gaussian_lens_app.methods.alignment import placed
from gaussian_lens_app.methods.base import Glimpse, Task
from gaussian_lens_app.optimize.local import touching
from gaussian_lens_app.raster import Rasterizer, Render, RenderMode
from gaussian_lens_app.scene import Camera, Capture, Gaussians, PhotoView, Rect
from gaussian_lens_app.select.misfits import EXPOSURE_LIMIT

MARGIN = 0.15
"""Part of a window's sides that fits look at around it; a block brings what shows there (upgrade/blocks.py)."""


def check_photos(task: Task) -> None:
    """Raises NeedsMissing or NothingSelected, with what to do, when no photo shows a selected Gaussian."""
    if task.capture is None or not task.capture.photos:
        raise NeedsMissing("This method needs photos with cameras: open the scene with --capture DIR.")
    if task.region.count == 0:
        raise NothingSelected("The box holds no Gaussian: drag it over something that is drawn.")
    if not task.region.views:
        raise NeedsMissing("No photo sees what is in the box: choose something the photos show.")


@dataclass(frozen=True, eq=False)
class Target:
    """One window of one photo."""

    name: str
    camera: Camera
    """Of the whole photo; `rect` is the window."""
    rect: Rect
    photo: Float[Tensor, "h w 3"]
    """The window's pixels, 0..1."""
    mask: Bool[Tensor, "h w"]
    """Where the window shows the region."""
    render: Render
    """The scene before the upgrade, in the window."""

    def cut(self, rect: Rect) -> Target:
        """The part of the window in `rect`, which lies within it."""
        if rect == self.rect:
            return self
        x0, y0 = self.rect[:2]
        part = slice(rect[1] - y0, rect[3] - y0), slice(rect[0] - x0, rect[2] - x0)
        drawn = self.render
        features = None if drawn.features is None else drawn.features[part]
        render = Render(drawn.rgb[part], drawn.alpha[part], drawn.depth[part], drawn.median_depth[part], features)
        return dataclasses.replace(self, rect=rect, photo=self.photo[part], mask=self.mask[part], render=render)


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of photos, by what they are for."""

    fitted: list[Target]
    """Of the best photos, for what the method does with photos."""
    stops: list[Target]
    """Of photos kept out of the fit to stop and to confirm it, where enough photos see the region."""
    glimpses: list[Target]
    """Of those and of the photos kept from the method, small; fitted to as well."""

    @property
    def all(self) -> list[Target]:
        return [*self.fitted, *self.stops, *self.glimpses]


def widened(view: PhotoView, camera: Camera, margin: float) -> PhotoView:
    """The same view in a window larger by `margin` of its sides all around, where the photo (of `camera`) allows it."""
    x0, y0, x1, y1 = view.rect
    dx, dy = round((x1 - x0) * margin), round((y1 - y0) * margin)
    left, top = max(0, x0 - dx), max(0, y0 - dy)
    right, bottom = min(camera.width, x1 + dx), min(camera.height, y1 + dy)
    mask = F.pad(view.mask, (x0 - left, right - x1, y0 - top, bottom - y1))
    return dataclasses.replace(view, rect=(left, top, right, bottom), mask=mask)


def make_target(
    scene: Gaussians, capture: Capture, view: PhotoView, rasterizer: Rasterizer, mode: RenderMode
) -> Target:
    """The window of `view`, its pixels read and the scene rendered into it."""
    photo = capture.photos[view.photo]
    camera = photo.camera.to(scene.device)
    with torch.no_grad():
        render = rasterizer.render(scene, camera, mode=mode, crop=view.rect)
    pixels = photo.crop(view.rect).to(scene.device)
    return Target(photo.name, camera, view.rect, pixels, view.mask.to(scene.device), render)


def in_place(target: Target, scene: Gaussians, rasterizer: Rasterizer, mode: RenderMode) -> Target:
    """The window with its camera put where the photo shows what the scene does; rendered anew."""
    camera = placed(target.camera, target.photo, target.render, target.mask)
    if camera is target.camera:
        return target
    with torch.no_grad():
        render = rasterizer.render(scene, camera, mode=mode, crop=target.rect)
    return dataclasses.replace(target, camera=camera, render=render)


def surroundings(scene: Gaussians, selected: Bool[Tensor, "N"], windows: Sequence[Target]) -> Gaussians:
    """The Gaussians that are not selected and may show in one of the windows."""
    visible = torch.zeros_like(selected)
    for window in windows:
        visible |= touching(scene, window.camera, window.rect)
    return scene.take(visible & ~selected)


def windows_of(
    task: Task,
    views: Sequence[PhotoView],
    glimpses: Sequence[Glimpse] = (),
    exposure: bool = True,
    align: bool = False,
    report: Report = silent,
) -> list[Target]:
    """The windows of `views`, then those of `glimpses`; `exposure`: each photo's brightness matched to the others';
    `align`: each photo's camera to the scene."""
    capture = task.capture
    assert capture is not None
    small = Capture(tuple(glimpse.photo for glimpse in glimpses))
    own = [(capture, view) for view in views]
    own += [(small, dataclasses.replace(glimpse.view, photo=i)) for i, glimpse in enumerate(glimpses)]
    windows = []
    for photos, view in own:
        report("Reading the photos", len(windows) / len(own) * (0.5 if exposure else 1.0))
        window = make_target(task.scene, photos, view, task.rasterizer, task.mode)
        windows.append(in_place(window, task.scene, task.rasterizer, task.mode) if align else window)
    if not exposure:
        return windows
    both = dataclasses.replace(capture, photos=capture.photos + small.photos)
    return matched_exposures(windows, task.scene, both, task.rasterizer, task.mode, within(report, 0.5, 1.0))


EXPOSURE_LONG_SIDE = 160
"""Exposure is a matter of the whole photo; so few pixels tell it."""


def matched_exposures(
    targets: Sequence[Target],
    scene: Gaussians,
    capture: Capture,
    rasterizer: Rasterizer,
    mode: RenderMode,
    report: Report = silent,
) -> list[Target]:
    """The targets with each photo's channels scaled to the exposure that the photos have in the middle.

    Phones expose each photo anew; the scene keeps one mean exposure, and a fit should not repaint it. What all photos
    share is no exposure but the scene's own error, and is left for the fit: taking it out of the photos cost 0.5 dB on
    the demo's boxes.
    """
    found = []
    for target in targets:
        report("Matching exposures", len(found) / len(targets))
        found.append(_gain(target, scene, capture, rasterizer, mode))
    gains = torch.stack(found)
    gains = (gains / gains.median(0).values).clamp(1 / EXPOSURE_LIMIT, EXPOSURE_LIMIT)
    return [dataclasses.replace(target, photo=target.photo * gain) for target, gain in zip(targets, gains, strict=True)]


def _gain(
    target: Target, scene: Gaussians, capture: Capture, rasterizer: Rasterizer, mode: RenderMode
) -> Float[Tensor, "3"]:
    """By the whole photo; by the window alone where the scene draws no more."""
    if capture.windows_only:
        return _ratio(target.render, target.photo)
    small = capture.named(target.name).with_long_side(EXPOSURE_LONG_SIDE)
    camera = small.camera.to(scene.device)
    with torch.no_grad():
        render = rasterizer.render(scene, camera, mode=mode.scaled(camera.width / target.camera.width))
    return _ratio(render, small.crop(small.camera.rect).to(scene.device))


def _ratio(render: Render, pixels: Float[Tensor, "h w 3"]) -> Float[Tensor, "3"]:
    """Mean of the scene over mean of the photo per channel; least squares would take lost texture for darkness. 1 where
    either is black: that tells no exposure."""
    weight = render.alpha[..., None]
    drawn, taken = ((weight * colors).sum((0, 1)) for colors in (render.rgb, pixels))
    return torch.where((drawn > 1e-6) & (taken > 1e-6), drawn / taken.clamp_min(1e-6), 1.0)
