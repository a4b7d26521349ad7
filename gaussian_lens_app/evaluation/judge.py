"""Is an upgrade better? Measured in the region, on a photo it was not made from, against its own noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.jobs.report import Report, silent
from gaussian_lens_app.methods.alignment import placed
from gaussian_lens_app.raster import Rasterizer, RenderMode
from gaussian_lens_app.raster.compare import squared_errors
from gaussian_lens_app.scene import Capture, Gaussians, Photo, PhotoView


@dataclass(frozen=True)
class JudgeSettings:
    """When a result is good enough to be swapped in."""

    block: int = 16
    """Pixels of a photo are not independent: blocks of so many a side are resampled..."""
    least_blocks: int = 16
    """...and smaller ones in windows that would have fewer of them: a few hardly differ from themselves resampled."""
    resamples: int = 200
    noises: float = 1.0
    """The gain must exceed so many standard deviations of itself."""
    low_resolution_slack_db: float = 0.3
    """With low-resolution photos only, the result may lose so much against them."""


@dataclass(frozen=True)
class Verdict:
    """What the judge found, and what the user is told."""

    accepted: bool
    verified: bool
    """True when a sharp photo that the method did not see was measured."""
    gain_db: float | None
    """PSNR after minus before in the region on the judge's photo."""
    noise_db: float | None
    """Standard deviation of the gain over resampled pixel blocks."""
    photo: str | None
    sentence: str

    def beats(self, other: Verdict) -> bool:
        """Whether this gains more than `other` on the same photo, by more than their noise."""
        if self.photo is None or self.photo != other.photo or self.gain_db is None or other.gain_db is None:
            return False
        return self.gain_db - other.gain_db > max(self.noise_db or 0.0, other.noise_db or 0.0)


def judge(
    before: Gaussians,
    after: Gaussians,
    capture: Capture,
    view: PhotoView,
    rasterizer: Rasterizer,
    mode: RenderMode,
    settings: JudgeSettings | None = None,
    glimpsed: bool = False,
) -> Verdict:
    """The verdict of one photo that the upgrade has not seen; `glimpsed`: only as small as the scene had.

    Its camera is put where the scene before the upgrade shows the same: a pixel's error would speak for blur.
    """
    settings = settings or JudgeSettings()
    photo = capture.photos[view.photo]
    camera, pixels = photo.camera.to(before.device), photo.crop(view.rect).to(before.device)
    with torch.no_grad():
        render = rasterizer.render(before, camera, mode=mode, crop=view.rect)
    camera = placed(camera, pixels, render, view.mask.to(before.device))
    errors = [squared_errors(scene, camera, view.rect, pixels, rasterizer, mode) for scene in (before, after)]
    gain, noise = block_gain(errors[0], errors[1], view.mask.to(before.device), settings)
    accepted = gain > settings.noises * noise
    return Verdict(accepted, True, gain, noise, photo.name, _sentence(accepted, gain, noise, photo.name, glimpsed))


def pooled(verdicts: list[Verdict], settings: JudgeSettings | None = None, glimpsed: bool = False) -> Verdict:
    """One verdict from the folds of a small capture: mean gain, accepted when it exceeds the mean's noise."""
    settings = settings or JudgeSettings()
    gains = [verdict.gain_db or 0.0 for verdict in verdicts]
    noises = [verdict.noise_db or 0.0 for verdict in verdicts]
    gain, noise = sum(gains) / len(gains), math.hypot(*noises) / len(noises)
    accepted = gain > settings.noises * noise
    names = " and ".join(verdict.photo or "?" for verdict in verdicts)
    return Verdict(accepted, True, gain, noise, names, _sentence(accepted, gain, noise, names, glimpsed))


def judge_low_resolution(
    before: Gaussians,
    folds: Sequence[tuple[Gaussians, PhotoView]],
    capture: Capture,
    rasterizer: Rasterizer,
    mode: RenderMode,
    settings: JudgeSettings | None = None,
    seen: bool = False,
    report: Report = silent,
) -> Verdict:
    """The verdict when no photo is sharper than the scene: invented detail must at least agree with them.

    Each fold is a result and a photo to measure it on, one that it was made without where there is such a photo;
    accepted while the renders at the photos' size keep within the slack. `seen`: the method had these photos.
    """
    settings = settings or JudgeSettings()
    totals = [0.0, 0.0]
    for number, (after, view) in enumerate(folds):
        report("Judging", number / len(folds))
        photo = capture.photos[view.photo]
        for i, scene in enumerate((before, after)):
            errors = _squared_error(scene, photo, view, rasterizer, mode)
            totals[i] += float(errors[view.mask.to(before.device)].mean())
    before_total, after_total = (max(total, 1e-12) for total in totals)  # black splats and photos have none
    change = 10 * math.log10(before_total / after_total)
    accepted = change >= -settings.low_resolution_slack_db
    outcome = "agrees with" if accepted else "contradicts"
    where = " on those it was made from" if seen else ""
    sentence = f"The result {outcome} the low-resolution photos ({change:+.2f} dB{where}); detail not verified."
    return Verdict(accepted, False, change, None, None, sentence)


def _squared_error(
    scene: Gaussians, photo: Photo, view: PhotoView, rasterizer: Rasterizer, mode: RenderMode
) -> Float[Tensor, "h w"]:
    return squared_errors(scene, photo.camera, view.rect, photo.crop(view.rect), rasterizer, mode)


def block_gain(
    before: Float[Tensor, "h w"], after: Float[Tensor, "h w"], mask: Bool[Tensor, "h w"], settings: JudgeSettings
) -> tuple[float, float]:
    """(gain in dB over the mask, its standard deviation over bootstrap resamples of pixel blocks).

    A single block says nothing of its noise, which is then taken to be all of the gain.
    """
    weight = mask.float()
    sums = torch.stack([before * weight, after * weight])
    blocks = _block_means(sums, _block_size(weight, settings)).double().cpu()
    blocks = blocks[:, blocks.sum(0) > 0] if bool((blocks.sum(0) > 0).any()) else blocks[:, :1]
    generator = torch.Generator().manual_seed(0)
    picks = torch.randint(blocks.shape[1], (settings.resamples, blocks.shape[1]), generator=generator)
    resampled = blocks[:, picks].sum(-1)
    gains = 10 * torch.log10(resampled[0].clamp_min(1e-12) / resampled[1].clamp_min(1e-12))
    total = blocks.sum(-1).clamp_min(1e-12)
    gain = float(10 * torch.log10(total[0] / total[1]))
    return gain, abs(gain) if blocks.shape[1] == 1 else float(gains.std())


def _block_size(weight: Float[Tensor, "h w"], settings: JudgeSettings) -> int:
    """That of the settings, halved until there are enough blocks with a pixel of the mask, or each is one pixel."""
    size = settings.block
    while size > 1 and int(_block_means(weight[None], size).count_nonzero()) < settings.least_blocks:
        size //= 2
    return size


def _block_means(values: Float[Tensor, "C h w"], size: int) -> Float[Tensor, "C B"]:
    """The mean of each block of `size` pixels a side; beyond the window there are zeros."""
    pad = (0, -values.shape[2] % size, 0, -values.shape[1] % size)
    return F.avg_pool2d(F.pad(values[:, None], pad), size).flatten(1)


def _sentence(accepted: bool, gain: float, noise: float, photo: str, glimpsed: bool = False) -> str:
    seen = "which it had not seen sharp" if glimpsed else "which it had not seen"
    figure = f"{round(gain, 2) + 0.0:+.2f} dB (noise {noise:.2f}) on {photo}, {seen}"
    if not accepted:
        return f"Not swapped in: {figure}."
    return f"Sharper: {figure}; expect less from elsewhere."  # photos beside the judge's were fitted to
