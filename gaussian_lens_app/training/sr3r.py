"""SR3R as something to train: GaussianLens' samples with small photos, measured on photos kept out."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from gaussian_lens_app.methods.sr3r_inputs import looks_of, run_sr3r
from gaussian_lens_app.methods.sr3r_views import (
    FACTOR,
    UPSAMPLERS,
    LowLook,
    LowView,
    enlarged_camera,
    enlarged_mask,
    low_view,
    same_looks,
    shrunk,
)
from gaussian_lens_app.methods.targets import Target
from gaussian_lens_app.networks.shuffle_split import shuffle_split
from gaussian_lens_app.networks.sr3r import SR3R
from gaussian_lens_app.raster import Rasterizer, RenderMode
from gaussian_lens_app.scene import Gaussians
from gaussian_lens_app.training.data import files
from gaussian_lens_app.training.perceptual import gradient_l1, ms_dssim
from gaussian_lens_app.training.run import Trainee
from gaussian_lens_app.training.samples import Sample, load_samples
from gaussian_lens_app.training.scaffolds import unprojected
from gaussian_lens_app.training.variety import varied

RING_WEIGHT = 0.1
"""Pixels around the region count so much: what is changed there shows too."""
FLOOR = 2e-5
"""Mean squared error that counts as perfect (47 dB)."""


@dataclass(frozen=True)
class SR3RSettings:
    """What an update looks at."""

    data: Path
    """Folder of sample files (training/samples.py)."""
    upsampler: str = "bicubic"
    direct: bool = False
    """In the place of the scene, a Gaussian for every pixel of two enlarged photos, at the scene's depth: direct
    regression, for comparison."""
    accumulate: int = 4
    """Samples an update."""
    views: tuple[int, int] = (2, 4)
    """Low-resolution photos a sample is looked at from; (2, 2) is the paper's."""
    targets: int = 2
    """High-resolution photos it is measured on."""
    least_side: int = 12
    """Windows whose shorter side has fewer low-resolution pixels are left out."""
    everything: float = 0.3
    """Part of the samples in which all that shows in the windows is super-resolved, not the region alone."""
    most_points: int = 9000
    real_share: float = 0.4
    kept: int = 700
    """Samples whose renders and gradients are kept in memory."""
    perceptual: float = 0.05
    """Of 1 - MS-SSIM, and of the gradients' difference, beside the mean squared error (the paper: LPIPS)."""
    plain_weight: float = 10.0
    """Weight of these three beside log(error / error of the input), which makes all samples count alike."""
    varied: bool = False
    """Samples mirrored, rolled and recoloured (training/variety.py)."""
    validation_samples: int = 24
    seed: int = 0


@dataclass(frozen=True, eq=False)
class LowSample:
    """A sample with all that does not depend on the network's weights."""

    frozen: Gaussians
    scaffold: Gaussians
    children: Tensor
    """(N) which Gaussians of the scaffold came of the split."""
    views: tuple[LowView, ...]
    looks: tuple[LowLook, ...]
    """Half precision."""
    targets: tuple[Target, ...]
    before: tuple[float, ...]
    """Weighted squared error of the scene before the split, for each target."""
    mode: RenderMode


class SR3RTrainee(Trainee):
    """The network with its samples."""

    def __init__(self, network: SR3R, settings: SR3RSettings, out: Path, rasterizer: Rasterizer):
        self.network, self.settings, self.out, self.rasterizer = network, settings, out, rasterizer
        self.split = network.config.split
        self._stream: Iterator[LowSample] | None = None
        self._validation: list[tuple[str, LowSample]] | None = None

    def losses(self, network: nn.Module, number: int, progress: float) -> dict[str, float]:
        assert isinstance(network, SR3R)
        if self._stream is None:
            stream = Stream(self.settings, random.Random(self.settings.seed + number), self.split, self.rasterizer)
            self._stream = iter(stream)
        gains = [
            self.run(network, next(self._stream), 1 / self.settings.accumulate) for _ in range(self.settings.accumulate)
        ]
        return {"gain": _mean(gains), "worse": _mean([float(gain < 0) for gain in gains])}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Mean gains in dB over the input scene on held-out scenes; the score is the mean of the two kinds."""
        assert isinstance(network, SR3R)
        if self._validation is None:
            self._validation = self._validation_samples()
        gains: dict[str, list[float]] = {}
        for kind, sample in self._validation:
            gains.setdefault(kind, []).append(self.run(network, sample, None))
        figures = {kind: _mean(values) for kind, values in gains.items()}
        worse = _mean([float(gain < 0) for values in gains.values() for gain in values])
        return {"score": _mean(list(figures.values())), **figures, "worse": worse}

    def run(self, network: SR3R, sample: LowSample, scale: float | None) -> float:
        """Gain in dB over the input; with a `scale`, gradients of the loss times it are added to the weights."""
        looks = same_looks(sample.looks, Tensor.float)
        with torch.set_grad_enabled(scale is not None):
            moved = run_sr3r(network, sample.scaffold, sample.children, sample.views, looks)
            errors, others = zip(
                *(self._compared(sample, moved, target, scale is not None) for target in sample.targets), strict=True
            )
            weight = sum(_weight(target) for target in sample.targets)
            before, error = sum(sample.before) / weight, torch.stack(errors).sum() / weight
            if scale is not None:
                loss = torch.log((error + FLOOR) / (before + FLOOR))
                plain = error + self.settings.perceptual * torch.stack(others).mean()
                loss = (loss + self.settings.plain_weight * plain) * scale
                if bool(loss.isfinite()):
                    loss.backward()
        return 10 * math.log10(max(before, 1e-9) / max(float(error.detach()), 1e-9))

    def _compared(self, sample: LowSample, moved: Gaussians, target: Target, perceptual: bool) -> tuple[Tensor, Tensor]:
        """(weighted sum of squared errors in a window, its perceptual terms)."""
        scene = Gaussians.concat([sample.frozen, moved])
        trainable = torch.arange(len(scene), device=scene.device) >= len(sample.frozen)
        rgb = self.rasterizer.render(scene, target.camera, mode=sample.mode, crop=target.rect, trainable=trainable).rgb
        weight = torch.where(target.mask, 1.0, RING_WEIGHT)
        error = (weight[..., None] * (rgb - target.photo).square()).sum()
        if not perceptual:
            return error, error.new_zeros(())
        return error, ms_dssim(rgb, target.photo) + gradient_l1(rgb, target.photo)

    def _validation_samples(self) -> list[tuple[str, LowSample]]:
        """The same samples every time, whatever files come later: some of each file there was at first."""
        listing, settings = self.out / "validation.json", self.settings
        if not listing.exists():
            listing.write_text(json.dumps([path.name for path in files(settings.data, "val")]))
        names = [name for name in json.loads(listing.read_text()) if (settings.data / name).exists()]
        found: list[tuple[str, LowSample]] = []
        for kind in ("real", "procedural"):
            chosen = [name for name in names if f"-{kind}-" in name]
            count = settings.validation_samples // 2
            each = max(1, math.ceil(count / max(1, len(chosen))))
            ready: list[LowSample] = []
            for name in chosen:
                samples = [sample for sample in load_samples(settings.data / name) if _usual(sample)]
                made = (make_low_sample(one, self.split, settings, self.rasterizer) for one in samples)
                ready += [one for one, _ in zip((one for one in made if one is not None), range(each), strict=False)]
            found += [(kind, fewer_views(one, settings.views[1])) for one in ready[:count]]
        return found


class Stream:
    """Endless random samples; those used lately are kept with their renders and gradients."""

    def __init__(self, settings: SR3RSettings, chance: random.Random, split: bool, rasterizer: Rasterizer):
        self.settings, self.chance, self.rasterizer, self.split = settings, chance, rasterizer, split
        every = files(settings.data, "train")
        self.kinds = [
            [path for path in every if "-real-" in path.name],
            [path for path in every if "-real-" not in path.name],
        ]
        self.fresh: list[list[Sample]] = [[], []]
        self.kept: list[list[LowSample]] = [[], []]

    def __iter__(self) -> Iterator[LowSample]:
        while True:
            real, made = self.kinds
            kind = 0 if real and (not made or self.chance.random() < self.settings.real_share) else 1
            yield lighter(self._one(kind), self.settings, self.chance)

    def _one(self, kind: int) -> LowSample:
        """A new one while there is room, later mostly one of those kept."""
        kept = self.kept[kind]
        full = len(kept) >= self.settings.kept // 2
        if kept and self.chance.random() < (0.98 if full else 0.5):
            return self.chance.choice(kept)
        sample = self._made(kind)
        if full:
            kept[self.chance.randrange(len(kept))] = sample
        else:
            kept.append(sample)
        return sample

    def _made(self, kind: int) -> LowSample:
        while True:
            if not self.fresh[kind]:
                self.fresh[kind] = [one for one in load_samples(self.chance.choice(self.kinds[kind])) if _usual(one)]
                self.chance.shuffle(self.fresh[kind])
                continue
            sample = self.fresh[kind].pop()
            if self.settings.varied:
                sample = varied(sample, self.chance)
            if self.chance.random() < self.settings.everything:
                sample = everything(sample)
            low = make_low_sample(sample, self.split, self.settings, self.rasterizer)
            if low is not None:
                return low


def make_low_sample(
    sample: Sample, split: bool, settings: SR3RSettings, rasterizer: Rasterizer, most_views: int = 6
) -> LowSample | None:
    """Small photos, scaffold, renders and gradients of a sample; None where too little of its photos is left."""
    sample = sample.to(rasterizer.device)
    inputs = sample.inputs
    small = [one for window in inputs.windows if (one := shrunk(window, FACTOR)) is not None]
    small = [one for one in small if min(one.photo.shape[:2]) >= settings.least_side][:most_views]
    if len(small) < settings.views[0]:
        return None
    views = tuple(low_view(one, UPSAMPLERS[settings.upsampler]) for one in small)
    scaffold, children = inputs.old, torch.zeros(len(inputs.old), dtype=torch.bool, device=inputs.old.device)
    if settings.direct:
        scaffold = pixel_scaffold(Gaussians.concat([inputs.frozen, inputs.old]), views[:2], rasterizer, inputs.mode)
        children = torch.zeros(len(scaffold), dtype=torch.bool, device=scaffold.device)
    elif split:
        divided = shuffle_split(inputs.old)
        scaffold, children = divided.gaussians, divided.divided[divided.parents]
    if not 0 < len(scaffold) <= (4 if settings.direct else 1) * settings.most_points:
        return None
    looks = same_looks(looks_of(inputs.frozen, scaffold, views, rasterizer, inputs.mode), Tensor.half)
    with torch.no_grad():
        before = tuple(_error(inputs.frozen, inputs.old, one, rasterizer, inputs.mode) for one in sample.targets)
    return LowSample(inputs.frozen, scaffold, children, views, tuple(looks), sample.targets, before, inputs.mode)


def pixel_scaffold(scene: Gaussians, views: Sequence[LowView], rasterizer: Rasterizer, mode: RenderMode) -> Gaussians:
    """Gaussians for the pixels of the enlarged windows that show the region."""
    layers = []
    for view in views:
        x0, y0, x1, y1 = view.low.rect
        camera = enlarged_camera(view.low.camera, FACTOR)
        rect = (FACTOR * x0, FACTOR * y0, FACTOR * x1, FACTOR * y1)
        with torch.no_grad():
            depth = rasterizer.render(scene, camera, mode=mode, crop=rect).depth
        depth = depth * enlarged_mask(view.low.mask, FACTOR)
        layers.append(unprojected(camera.cropped(rect), depth, view.enlarged, sigma=0.6, opacity=0.9))
    return Gaussians.concat(layers)


def everything(sample: Sample) -> Sample:
    """The sample with all Gaussians that stand in two of its windows for the region, and whole windows for masks."""
    inputs = sample.inputs
    count = torch.zeros(len(inputs.frozen), dtype=torch.long)
    for window in inputs.windows:
        pixels, depths = window.camera.project(inputs.frozen.means)
        x0, y0, x1, y1 = window.rect
        inside = (pixels[:, 0] >= x0) & (pixels[:, 0] < x1) & (pixels[:, 1] >= y0) & (pixels[:, 1] < y1)
        count += inside & (depths > 0)
    joins = count >= 2
    whole = lambda window: dataclasses.replace(window, mask=torch.ones_like(window.mask))  # noqa: E731
    return dataclasses.replace(
        sample,
        inputs=dataclasses.replace(
            inputs,
            frozen=inputs.frozen.take(~joins),
            old=Gaussians.concat([inputs.old, inputs.frozen.take(joins)]),
            windows=tuple(map(whole, inputs.windows)),
        ),
    )


def lighter(sample: LowSample, settings: SR3RSettings, chance: random.Random) -> LowSample:
    """Some of the photos, some to measure on."""
    low, high = settings.views
    count = min(len(sample.views), chance.randint(low, high))
    rows = sorted(chance.sample(range(len(sample.views)), count))
    chosen = chance.sample(range(len(sample.targets)), min(len(sample.targets), settings.targets))
    return dataclasses.replace(
        sample,
        views=tuple(sample.views[row] for row in rows),
        looks=tuple(sample.looks[row] for row in rows),
        targets=tuple(sample.targets[row] for row in chosen),
        before=tuple(sample.before[row] for row in chosen),
    )


def fewer_views(sample: LowSample, count: int) -> LowSample:
    """The first photos alone."""
    return dataclasses.replace(sample, views=sample.views[:count], looks=sample.looks[:count])


def _usual(sample: Sample) -> bool:
    """Drawn with the filter of the large picture's own pixels, as upgrades are."""
    return sample.inputs.mode.eps2d < 1


def _error(frozen: Gaussians, moving: Gaussians, target: Target, rasterizer: Rasterizer, mode: RenderMode) -> float:
    rgb = rasterizer.render(Gaussians.concat([frozen, moving]), target.camera, mode=mode, crop=target.rect).rgb
    weight = torch.where(target.mask, 1.0, RING_WEIGHT)
    return float((weight[..., None] * (rgb - target.photo).square()).sum())


def _weight(target: Target) -> float:
    return 3 * float(torch.where(target.mask, 1.0, RING_WEIGHT).sum())


def _mean(values: list[float]) -> float:
    return sum(values) / max(1, len(values))
