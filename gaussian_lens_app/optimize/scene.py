"""Optimises a whole scene against photos: one random photo a step, Adam, and a strategy for the number of Gaussians."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from gaussian_lens_app.jobs.report import Report
from gaussian_lens_app.optimize.adam import Adam, LearningRates
from gaussian_lens_app.optimize.density import Strategy
from gaussian_lens_app.optimize.losses import l1_dssim, psnr_of_mse
from gaussian_lens_app.raster import ANTIALIASED, Rasterizer, RenderMode
from gaussian_lens_app.scene import Camera, Capture, Gaussians


@dataclass(frozen=True)
class OptimizeSettings:
    """One optimisation of a whole scene."""

    steps: int = 7000
    """Photos looked at, one a step."""
    ssim_weight: float = 0.2
    """Part of the loss that is 1 - SSIM, the rest is L1."""
    rates: LearningRates = LearningRates()
    sh_every: float = 0.1
    """Part of the steps after which the next band of spherical harmonics joins in."""
    mode: RenderMode = ANTIALIASED
    """Render mode of the optimisation, and the one the scene should be looked at in."""
    seed: int = 0


def optimize_scene(
    scene: Gaussians,
    capture: Capture,
    settings: OptimizeSettings,
    rasterizer: Rasterizer,
    strategy: Strategy | None,
    extent: float,
    report: Report,
) -> Gaussians:
    """The scene after `settings.steps` steps against all photos of `capture`; deterministic for a seed and device."""
    return descend(scene, capture, settings, rasterizer, strategy, extent, report)[0]


def descend(
    scene: Gaussians,
    capture: Capture,
    settings: OptimizeSettings,
    rasterizer: Rasterizer,
    strategy: Strategy | None,
    extent: float,
    report: Report,
) -> tuple[Gaussians, Int[Tensor, "M"]]:
    """The optimised scene, and for each of its rows the row of `scene` that it was cloned or split from, or was."""
    adam = Adam(scene)
    views = [(photo.camera.to(scene.device), photo.load()) for photo in capture.photos]
    order = _Shuffled(len(views), torch.Generator().manual_seed(settings.seed))
    told = Progress(settings.steps, report)
    for step in range(1, settings.steps + 1):
        camera, pixels = views[order.next()]
        photo = pixels.to(scene.device).float() / 255
        degree = min(scene.sh_degree, int((step - 1) / (settings.steps * settings.sh_every)))
        rates = settings.rates.at((step - 1) / settings.steps, extent)
        told(step, *_step(adam, camera, photo, degree, settings, rasterizer, strategy, rates))
        if strategy is not None:
            strategy.update(step, settings.steps, adam, rates)
    return adam.scene.detach(), adam.origins


def _step(
    adam: Adam,
    camera: Camera,
    photo: Tensor,
    degree: int,
    settings: OptimizeSettings,
    rasterizer: Rasterizer,
    strategy: Strategy | None,
    rates: dict[str, float],
) -> tuple[Tensor, Tensor, int]:
    """(loss, mean squared error, number of Gaussians) before this step."""
    probe = None
    if strategy is not None and strategy.wants_probe:
        probe = torch.zeros(len(adam.scene), 4, device=photo.device, requires_grad=True)
    kwargs: dict[str, Any] = {"mode": settings.mode, "probe": probe, "sh_degree": degree}
    rgb = rasterizer.render(adam.scene, camera, **kwargs).rgb
    loss = l1_dssim(rgb, photo, settings.ssim_weight)
    penalty = None if strategy is None else strategy.penalty(adam.scene)
    (loss if penalty is None else loss + penalty).backward()
    if strategy is not None and probe is not None and probe.grad is not None:
        strategy.observe(probe.grad, camera)
    adam.step(rates)
    return loss.detach(), (rgb.detach() - photo).square().mean(), len(adam.scene)


class Progress:
    """Tells loss, PSNR and count, smoothed over about 50 steps; asks for cancellation at every step."""

    def __init__(self, steps: int, report: Report):
        self.steps, self.report = steps, report
        self._mean: Tensor | None = None
        self._stage = "Optimising"

    def __call__(self, step: int, loss: Tensor, mse: Tensor, count: int) -> None:
        latest = torch.stack([loss, mse])
        self._mean = latest if self._mean is None else self._mean.lerp(latest, 0.02)
        if step % 10 == 0 or step == 1:
            smooth_loss, smooth_mse = self._mean.tolist()
            quality = f"loss {smooth_loss:.4f}, PSNR {psnr_of_mse(smooth_mse):.1f} dB"
            self._stage = f"Optimising: {quality}, {count} Gaussians"
        self.report(self._stage, step / self.steps)


class _Shuffled:
    """Indices 0..count-1 in a new random order each round."""

    def __init__(self, count: int, generator: torch.Generator):
        self.count, self.generator = count, generator
        self._round: list[int] = []

    def next(self) -> int:
        if not self._round:
            self._round = torch.randperm(self.count, generator=self.generator).tolist()
        return self._round.pop()
