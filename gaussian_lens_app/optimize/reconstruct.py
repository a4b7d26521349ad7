"""A scene from a capture: sparse points, then 3DGS optimisation at a chosen resolution."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.errors import CaptureError, GsrError
from gaussian_lens_app.formats.lint import HIGHEST_LOGIT
from gaussian_lens_app.jobs.report import Report, silent, within
from gaussian_lens_app.optimize.density import AdaptiveDensity, AdaptiveSettings, Strategy
from gaussian_lens_app.optimize.mcmc import Mcmc, McmcSettings
from gaussian_lens_app.optimize.scene import OptimizeSettings, optimize_scene
from gaussian_lens_app.optimize.start import extent_of, from_points, starting_points
from gaussian_lens_app.raster import Rasterizer, RenderMode, for_device
from gaussian_lens_app.scene import Capture, Gaussians
from gaussian_lens_app.select.veils import covered, veils


@dataclass(frozen=True)
class ReconstructSettings:
    """How a scene is made from a capture."""

    long_side: int = 400
    """Photos are averaged down to this many pixels on their longer side."""
    steps: int = 7000
    """Optimisation steps, one photo each."""
    sh_degree: int = 0
    """View dependence of the colours: 0 (none) to 4."""
    strategy: Literal["adaptive", "mcmc"] = "adaptive"
    """Adaptive density control of 3DGS, or relocation as in 3DGS-MCMC."""
    max_gaussians: int = 75_000
    """The scene stops growing here."""
    random_points: int = 20_000
    """Start with so many random points where the capture has none."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises GsrError for harmonics that no file can hold."""
        if not 0 <= self.sh_degree <= 4:
            raise GsrError(f"Colours of degree {self.sh_degree} cannot be kept in a file: choose sh_degree 0 to 4.")


def reconstruct(
    capture: Capture,
    settings: ReconstructSettings | None = None,
    rasterizer: Rasterizer | None = None,
    report: Report = silent,
) -> Gaussians:
    """A scene optimised against every photo of `capture` (split off test photos before).

    >>> context, test = load_capture(folder).split((8, 4))
    >>> scene = reconstruct(context, ReconstructSettings(steps=3000))
    """
    settings, rasterizer = settings or ReconstructSettings(), rasterizer or for_device()
    if len(capture) == 0:
        raise CaptureError("The capture has no photos to reconstruct from: give at least two.")
    generator = torch.Generator().manual_seed(settings.seed)
    small = capture.with_long_side(settings.long_side)
    points, note = starting_points(small, settings.random_points, generator)
    if note:
        report(note[0].upper() + note[1:], 0.0)
    scene = from_points(points, settings.sh_degree).to(rasterizer.device)
    extent = extent_of([photo.camera for photo in small.photos])
    strategy = _strategy(settings, extent, generator)
    optimize = OptimizeSettings(steps=settings.steps, seed=settings.seed)
    done = optimize_scene(scene, small, optimize, rasterizer, strategy, extent, within(report, 0.0, 0.98))
    report("Removing what no photo sees", 0.98)
    done = without_unseen(done, small, rasterizer, optimize.mode)
    return fittable(done.take(~veils(done, small, rasterizer, optimize.mode))).to("cpu")


def fittable(scene: Gaussians) -> Gaussians:
    """The scene with opacities that later fitting can still move: beyond, the sigmoid's slope is nothing."""
    return dataclasses.replace(scene, logit_opacities=scene.logit_opacities.clamp(-HIGHEST_LOGIT, HIGHEST_LOGIT))


def without_unseen(scene: Gaussians, capture: Capture, rasterizer: Rasterizer, mode: RenderMode) -> Gaussians:
    """The Gaussians that some photo sees."""
    return scene.take(seen(scene, capture, rasterizer, mode))


def seen(
    scene: Gaussians, capture: Capture, rasterizer: Rasterizer, mode: RenderMode, pixels: float = 0.05
) -> Bool[Tensor, "N"]:
    """Whose blending weight in some photo adds up to more than `pixels`."""
    best: Float[Tensor, "N"] = torch.zeros(len(scene), device=scene.device)
    for photo in capture.photos:
        best = torch.maximum(best, covered(scene, photo.camera.to(scene.device), rasterizer, mode))
    return best > pixels


def _strategy(settings: ReconstructSettings, extent: float, generator: torch.Generator) -> Strategy:
    if settings.strategy == "mcmc":
        return Mcmc(McmcSettings(max_gaussians=settings.max_gaussians), extent, generator)
    return AdaptiveDensity(AdaptiveSettings(max_gaussians=settings.max_gaussians), extent, generator)
