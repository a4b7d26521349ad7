"""The render mode in which an input scene looks best at full size; every method is then compared in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from gaussian_lens_app.evaluation.metrics import psnr
from gaussian_lens_app.jobs.report import Report, silent, within
from gaussian_lens_app.optimize.band_limit import band_limited
from gaussian_lens_app.optimize.band_match import band_matched
from gaussian_lens_app.raster import ANTIALIASED, CLASSIC, Rasterizer, RenderMode
from gaussian_lens_app.raster.compare import squared_errors
from gaussian_lens_app.scene import Camera, Capture, Gaussians, Rect
from gaussian_lens_app.select.veils import veils

PHOTOS = 6
"""So many context photos, spread over the path, decide."""


def render_modes(factor: float) -> dict[str, RenderMode]:
    """Name -> mode; `factor` is the photos' size over the size the scene was optimised at."""
    scaled = ANTIALIASED.scaled(max(1.0, factor))
    return {"classic": CLASSIC, "antialiased": ANTIALIASED, "antialiased-scaled": scaled}


def best_mode(
    scene: Gaussians, context: Capture, rasterizer: Rasterizer, low_long_side: int
) -> tuple[str, RenderMode, dict[str, float]]:
    """(name, mode, PSNR of each mode): chosen on context photos, so that test photos decide nothing."""
    largest = max(max(photo.camera.width, photo.camera.height) for photo in context.photos)
    modes = render_modes(largest / low_long_side)
    chosen = sorted({round(i * (len(context) - 1) / max(1, PHOTOS - 1)) for i in range(PHOTOS)})
    few = context.only([i for i in chosen if i < len(context)])
    figures = {name: mean_psnr(scene, few, rasterizer, mode) for name, mode in modes.items()}
    name = max(figures, key=lambda name: figures[name])
    return name, modes[name], figures


@dataclass(frozen=True, eq=False)
class Input:
    """An input scene, how it looks best, and what upgrades of it start from."""

    scene: Gaussians
    render_mode: str
    mode: RenderMode
    context_psnr: dict[str, float]
    """Of every mode that was tried, by name."""
    start: Gaussians
    start_mode: RenderMode


def in_best_mode(scene: Gaussians, context: Capture, rasterizer: Rasterizer, low_long_side: int) -> Input:
    """The input, readied for upgrades where a wider filter than the plain one suits it."""
    name, mode, figures = best_mode(scene, context, rasterizer, low_long_side)
    if mode.eps2d <= ANTIALIASED.eps2d:
        return Input(scene, name, mode, figures, scene, mode)
    start, _ = readied(scene, context, [photo.camera for photo in context.photos], rasterizer, mode)
    return Input(scene, name, mode, figures, start, ANTIALIASED)


def readied(
    scene: Gaussians,
    capture: Capture,
    cameras: Sequence[Camera],
    rasterizer: Rasterizer,
    mode: RenderMode,
    report: Report = silent,
) -> tuple[Gaussians, Int[Tensor, "M"]]:
    """(the scene for close views in ANTIALIASED, which of its rows each Gaussian was).

    `mode`'s wider filter is baked into it, by what `cameras` see; what hangs before the photos' cameras is gone.
    """
    limited = band_limited(scene, cameras, rasterizer, mode, within(report, 0.0, 0.2))
    veiled = veils(scene, capture, rasterizer, ANTIALIASED, within(report, 0.2, 0.3))
    kept = (~veiled).nonzero()[:, 0]
    clear = scene.take(kept)
    return band_matched(limited.take(kept), clear, cameras, rasterizer, mode, within(report, 0.3, 1.0)), kept


def mean_psnr(scene: Gaussians, capture: Capture, rasterizer: Rasterizer, mode: RenderMode) -> float:
    """Mean over photos of the PSNR of the whole image."""
    values = []
    for photo in capture.photos:
        with torch.no_grad():
            rgb = rasterizer.render(scene, photo.camera.to(scene.device), mode=mode).rgb
        values.append(psnr(rgb.cpu(), photo.load().float() / 255))
    return sum(values) / len(values)


FACTORS = (1.0, 2.0, 4.0, 8.0)
WINDOW = 512
"""The filter is told from the middle of a few photos, so many pixels a side."""


def fitting_filter(scene: Gaussians, capture: Capture, rasterizer: Rasterizer, report: Report = silent) -> RenderMode:
    """The antialiased mode whose filter suits the photos best: wider than ANTIALIASED's by the factor by which they are
    larger than those the scene was made from.
    """
    step = max(1, len(capture) // 3)
    photos = [capture.photos[i] for i in range(step // 2, len(capture), step)][:3]
    errors = dict.fromkeys(FACTORS, 0.0)
    for index, photo in enumerate(photos):
        rect = _middle(photo.camera.width, photo.camera.height)
        pixels = photo.crop(rect)
        for tried, factor in enumerate(FACTORS):
            report("Comparing with the photos", (index + tried / len(FACTORS)) / len(photos))
            mode = ANTIALIASED.scaled(factor)
            errors[factor] += float(squared_errors(scene, photo.camera, rect, pixels, rasterizer, mode).mean())
    return ANTIALIASED.scaled(min(errors, key=lambda factor: errors[factor]))


def _middle(width: int, height: int) -> Rect:
    w, h = min(width, WINDOW), min(height, WINDOW)
    return ((width - w) // 2, (height - h) // 2, (width + w) // 2, (height + h) // 2)
