"""True lineages: one scene optimised at growing resolutions, each Gaussian knowing its parent at the one before."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from gaussian_lens_app.errors import CaptureError
from gaussian_lens_app.jobs.report import Report, silent, within
from gaussian_lens_app.optimize.band_limit import band_limited
from gaussian_lens_app.optimize.density import AdaptiveDensity, AdaptiveSettings
from gaussian_lens_app.optimize.reconstruct import seen
from gaussian_lens_app.optimize.scene import OptimizeSettings, descend
from gaussian_lens_app.optimize.start import extent_of, from_points, starting_points
from gaussian_lens_app.raster import ANTIALIASED, Rasterizer
from gaussian_lens_app.scene import Capture, Gaussians, SparsePoints

RESOLUTIONS = (64, 96, 144, 216, 324)
LOOK_CLOSE = 4
"""Scenes are looked at in pixels so many times smaller than those they were made from."""
CAMERAS = 16
"""So many cameras say how far away each Gaussian is seen from."""


@dataclass(frozen=True)
class GrowSettings:
    """How a scene is taken through the resolutions."""

    resolutions: tuple[int, ...] = RESOLUTIONS
    """Long sides of the photos, one stage each."""
    steps: tuple[int, ...] = (400, 300, 300, 350, 400)
    """Optimisation steps of each stage."""
    per_pixel: float = 0.45
    """Gaussians a stage may have, per pixel of a photo of its size; the 400 px scenes have about half a Gaussian."""
    sh_degree: int = 0
    """View dependence of the colours."""
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Level:
    """The scene after one stage."""

    long_side: int
    scene: Gaussians
    """As optimised."""
    limited: Gaussians
    """Row by row the same with the stage's pixel filter in the Gaussians, as scenes are when they are upgraded."""
    parents: Int[Tensor, "N"]
    """Row at the level before; -1 at the first."""


def grow(
    capture: Capture, settings: GrowSettings, rasterizer: Rasterizer, report: Report = silent
) -> tuple[Level, ...]:
    """One level a resolution; each stage begins with the Gaussians of the one before."""
    generator = torch.Generator().manual_seed(settings.seed)
    extent = extent_of([photo.camera for photo in capture.photos])
    levels: list[Level] = []
    scene = _first(capture, settings, generator).to(rasterizer.device)
    for index, (long_side, steps) in enumerate(zip(settings.resolutions, settings.steps, strict=True)):
        small = capture.with_long_side(long_side)
        part = within(report, index / len(settings.steps), (index + 1) / len(settings.steps))
        count = _room(small, settings)
        growing = AdaptiveSettings(start=40, every=60, until=0.7, gradient=0.0, max_gaussians=count)
        density = AdaptiveDensity(growing, extent, generator)
        optimize = OptimizeSettings(steps=steps, seed=settings.seed + index)
        scene, parents = descend(scene, small, optimize, rasterizer, density, extent, part)
        kept = seen(scene, small, rasterizer, optimize.mode)
        scene, parents = scene.take(kept), parents[kept]
        limited = _limited(scene, small, rasterizer)
        first = torch.full_like(parents, -1) if index == 0 else parents
        levels.append(Level(long_side, scene.to("cpu"), limited.to("cpu"), first.cpu()))
    return tuple(levels)


def _first(capture: Capture, settings: GrowSettings, generator: torch.Generator) -> Gaussians:
    """Some of the capture's points."""
    points, _ = starting_points(capture, 4000, generator)
    most = max(200, _room(capture.with_long_side(settings.resolutions[0]), settings) // 2)
    chosen = torch.randperm(len(points.positions), generator=generator)[:most]
    if len(chosen) < 4:
        raise CaptureError("The capture has too few sparse points to grow a scene from: give at least four.")
    return from_points(SparsePoints(points.positions[chosen], points.colors[chosen]), settings.sh_degree)


def _room(small: Capture, settings: GrowSettings) -> int:
    camera = small.photos[0].camera
    return int(settings.per_pixel * camera.width * camera.height)


def _limited(scene: Gaussians, small: Capture, rasterizer: Rasterizer) -> Gaussians:
    """The scene with the filter of the photos it was optimised on in its Gaussians."""
    large = [
        photo.camera.with_long_side(LOOK_CLOSE * max(photo.camera.width, photo.camera.height)) for photo in small.photos
    ]
    return band_limited(scene, large[:: -(-len(large) // CAMERAS)], rasterizer, ANTIALIASED.scaled(LOOK_CLOSE))
