"""Where the photos show more than the splats do."""

from __future__ import annotations

import dataclasses
import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.jobs.report import Report, silent, within
from gaussian_lens_app.methods.view_gradients import scene_scores
from gaussian_lens_app.raster import Rasterizer, RenderMode
from gaussian_lens_app.scene import Box, Camera, Capture, Gaussians, Photo, Rect
from gaussian_lens_app.select.worst import boxes_in_view, map_camera, worst_boxes
from gaussian_lens_app.session.colormap import colored
from gaussian_lens_app.session.looks import Marks

SHARP, BLURRED = 1.0, 8.0
"""A splat whose sigma is one pixel of the best photo shows all it can; at eight its blur is plain to see."""
STRENGTH = 0.6
TELLING = 0.012
"""Fine structure that a photo has more of than the scene, in units of brightness, that surely shows."""
CENTRE = 0.35
"""Suggestions away from the middle of the view count less: standard deviation, in views."""
CAMERAS = 24
"""So many of the photos' cameras, spread over the capture, say how large each Gaussian is seen."""
PHOTOS = 5
"""Photos looked at for suggestions."""
LONG_SIDE = 800
"""Of those photos."""


def blur_in_photos(scene: Gaussians, capture: Capture, report: Report = silent) -> Float[Tensor, "N"]:
    """Each Gaussian's middle sigma in pixels of the photo that shows it largest; 0 where no photo has it in view.

    Of many photos some, spread over the capture, are asked.
    """
    best = scene.means.new_zeros(len(scene))
    photos = capture.photos[:: max(1, -(-len(capture) // CAMERAS))]
    for index, photo in enumerate(photos):
        report("Comparing with the photos", index / len(photos))
        camera = photo.camera.to(scene.device)
        inside, depths = camera.frames(scene.means)
        best = torch.maximum(best, torch.where(inside, camera.K[0, 0] / depths.clamp_min(1e-6), 0))
    return scene.scales.sort(-1).values[:, 1] * best


def amount_missing(
    scene: Gaussians, capture: Capture, rasterizer: Rasterizer, mode: RenderMode, report: Report = silent
) -> Float[Tensor, "N"]:
    """0..1 for each Gaussian: coarse for the best photo that has it in view, where photos show more than the scene."""
    blur = blur_in_photos(scene, capture, within(report, 0.0, 0.5))
    coarse = torch.log2(blur.clamp_min(SHARP)) / torch.log2(torch.tensor(BLURRED / SHARP))
    step = max(1, math.ceil(len(capture) / (2 * PHOTOS)))
    lack = missing_detail(scene, list(capture.photos[::step]), rasterizer, mode, within(report, 0.5, 1.0))
    return coarse.clamp(0, 1) * (lack / TELLING).clamp(0, 1)


def amount_pulled(
    scene: Gaussians, capture: Capture, rasterizer: Rasterizer, mode: RenderMode, report: Report = silent
) -> Float[Tensor, "N"]:
    """0..1 for each Gaussian: how strongly the photos pull at it, 1 for the top hundredth."""
    scores = scene_scores(scene, capture, rasterizer, mode, most=2 * PHOTOS, report=report)
    top = scores.sort().values[int(0.99 * (len(scores) - 1))] if len(scores) else scores.new_ones(())
    return (scores / top.clamp_min(1e-12)).clamp(0, 1).sqrt()


AMOUNTS = {Marks.DETAIL: amount_missing, Marks.GRADIENT: amount_pulled}


def overlay(
    picture: Float[Tensor, "h w 3"],
    scene: Gaussians,
    amount: Float[Tensor, "N"],
    camera: Camera,
    rasterizer: Rasterizer,
    mode: RenderMode,
    crop: Rect | None,
) -> Float[Tensor, "h w 3"]:
    """The picture with a veil that is thicker and redder the more is missing."""
    drawn = rasterizer.render(scene, camera, mode=mode, crop=crop, features=amount[:, None])
    assert drawn.features is not None
    shown = drawn.features
    grey = picture.mean(-1, keepdim=True).expand_as(picture)
    weight = STRENGTH * shown
    return (1 - weight) * (0.5 * picture + 0.5 * grey) + weight * colored(0.3 + 0.6 * shown[..., 0], "YlOrRd")


def suggested_boxes(
    scene: Gaussians,
    camera: Camera,
    capture: Capture,
    rasterizer: Rasterizer,
    mode: RenderMode,
    count: int = 3,
    marks: Marks = Marks.DETAIL,
) -> list[Box]:
    """Boxes in this view over what gains most: where photos have detail that the scene drawn beside them lacks, or
    where they pull at it."""
    photos = nearest_photos(capture, camera, PHOTOS)
    if marks is Marks.GRADIENT:
        lack = scene_scores(scene, dataclasses.replace(capture, photos=tuple(photos)), rasterizer, mode)
    else:
        lack = missing_detail(scene, photos, rasterizer, mode)
    weight = _middle(map_camera(camera)).to(scene.device)
    found = boxes_in_view(scene, lack, camera, rasterizer, mode, count, weight)
    return [box for _, box in found]


def worst_places(
    scene: Gaussians,
    capture: Capture,
    rasterizer: Rasterizer,
    mode: RenderMode,
    count: int = 3,
    report: Report = silent,
) -> list[Box]:
    """Boxes over what the photos pull at hardest anywhere in the scene, the worst first."""
    scores = scene_scores(scene, capture, rasterizer, mode, most=2 * PHOTOS, report=within(report, 0.0, 0.8))
    report("Choosing places", 0.8)
    return worst_boxes(scene, scores, capture, rasterizer, mode, count)


def missing_detail(
    scene: Gaussians, photos: list[Photo], rasterizer: Rasterizer, mode: RenderMode, report: Report = silent
) -> Float[Tensor, "N"]:
    """For each Gaussian how much finer structure the photos have than the scene, where it is."""
    lack, seen = scene.means.new_zeros(2, len(scene))
    for index, photo in enumerate(photos):
        report("Comparing with the photos", index / len(photos))
        photo = photo.with_long_side(LONG_SIDE)
        there = photo.camera.to(scene.device)
        drawn = rasterizer.render(scene, there, mode=mode).rgb
        excess = (_detail(photo.load().to(scene.device).float() / 255) - _detail(drawn)).clamp_min(0)
        weights = torch.stack([excess, torch.ones_like(excess)], -1)
        sums = rasterizer.contributions(scene, there, weights, mode=mode)
        lack, seen = lack + sums[:, 0], seen + sums[:, 1]
    return lack / seen.clamp_min(1e-3)


def nearest_photos(capture: Capture, camera: Camera, count: int) -> list[Photo]:
    """The photos that look most nearly the same way from most nearly the same place."""
    position, forward = camera.position.cpu(), camera.forward.cpu()
    places = torch.stack([photo.camera.position.cpu() for photo in capture.photos])
    away = (places - position).norm(dim=1)
    away = away / away.median().clamp_min(1e-9)
    turned = torch.stack([1 - photo.camera.forward.cpu() @ forward for photo in capture.photos])
    return [capture.photos[i] for i in (away + 4 * turned).argsort()[:count].tolist()]


def _middle(camera: Camera) -> Float[Tensor, "h w"]:
    """People look at what they care about."""
    y, x = (torch.linspace(-0.5, 0.5, n) for n in (camera.height, camera.width))
    return torch.exp(-(y[:, None] ** 2 + x[None] ** 2) / (2 * CENTRE**2))


def _detail(rgb: Float[Tensor, "h w 3"]) -> Float[Tensor, "h w"]:
    """Local strength of the finest structure: what a blur over five pixels takes away, averaged over nine."""
    grey = rgb.mean(-1)[None, None]
    fine = (grey - F.avg_pool2d(grey, 5, 1, 2, count_include_pad=False)).abs()
    return F.avg_pool2d(fine, 9, 1, 4, count_include_pad=False)[0, 0]
