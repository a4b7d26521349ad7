"""Generative Densification as something to train: the worst Gaussians of boxes, judged on photos that were kept out."""

from __future__ import annotations

import dataclasses
import functools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool
from torch import Tensor, nn

from gaussian_lens_app.methods.densification_pass import STRIDE, regrown, split_off
from gaussian_lens_app.methods.gaussian_lens_features import Look, look
from gaussian_lens_app.methods.gaussian_lens_inputs import LensInputs
from gaussian_lens_app.methods.gaussian_lens_pass import as_points, network_views, prepare
from gaussian_lens_app.methods.targets import Target
from gaussian_lens_app.methods.view_gradients import scores_of_looks
from gaussian_lens_app.networks.generative_densification import GenerativeDensification
from gaussian_lens_app.raster import ANTIALIASED, Rasterizer
from gaussian_lens_app.scene import Camera, Gaussians
from gaussian_lens_app.training.data import Stream
from gaussian_lens_app.training.lens import validation_samples
from gaussian_lens_app.training.run import Trainee
from gaussian_lens_app.training.samples import Sample
from gaussian_lens_app.training.step import FLOOR, MOST_TARGETS, MOST_WINDOWS, target_error, target_weight

STAGES = ("coarse", "fine", "settled")
WEIGHTS = (0.5, 1.0, 1.0)
"""Of the stages' losses."""


@dataclass(frozen=True)
class DensificationSamples:
    """Samples and what is drawn at random about each use of them."""

    data: Path
    """Folder of sample files, the same as GaussianLens'."""
    accumulate: int = 4
    """Samples an update."""
    parts: tuple[float, float] = (0.25, 1.0)
    """Part of a box's Gaussians that is densified."""
    at_random: float = 0.15
    """Part of the uses in which those are not the ones with the highest score."""
    shares: tuple[float, float] = (0.2, 1.0)
    """Part of a layer's children that goes on to the next (the paper's P)."""
    halved: float = 0.5
    """Part of the samples whose photos are looked at in half size; measured on is always full size."""
    validation_samples: int = 16
    validation_part: float = 0.6
    validation_share: float = 0.8
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Ready:
    """A sample with all that does not depend on the network's weights."""

    inputs: LensInputs
    looks: tuple[Look, ...]
    targets: tuple[Target, ...]
    before: tuple[float, ...]
    """Weighted squared error of the input in each target."""
    rows: Bool[Tensor, "P"] | None = None
    """Which of the box's Gaussians are densified; None before that is drawn."""
    share: float = 1.0


def make_ready(sample: Sample, rasterizer: Rasterizer, half: bool) -> Ready:
    """Renders and gradients of the input scene; with `half`, in photos of half the size where that is possible."""
    sample = sample.to(rasterizer.device)
    inputs = dataclasses.replace(sample.inputs, new=Gaussians.empty(0, sample.inputs.old.device))
    if half and inputs.mode == ANTIALIASED:
        inputs = dataclasses.replace(inputs, windows=tuple(halved(window) for window in inputs.windows))
    looks = tuple(
        look(inputs.frozen, inputs.old, window, rasterizer, inputs.mode, screen=True) for window in inputs.windows
    )
    with torch.no_grad():
        before = tuple(
            float(target_error(inputs.frozen, inputs.old, target, rasterizer, inputs.mode)) for target in sample.targets
        )
    return Ready(inputs, looks, sample.targets, before)


def halved(window: Target) -> Target:
    """The window in a photo of half the size, its pixels averaged two by two; a window too small for that as it is."""
    x0, y0, x1, y1 = window.rect
    left, top = -(-x0 // 2), -(-y0 // 2)
    right, bottom = x1 // 2, y1 // 2
    if right - left < 8 or bottom - top < 8:
        return window
    camera = window.camera
    K = camera.K * camera.K.new_tensor([[0.5], [0.5], [1.0]])
    rows, columns = slice(2 * top - y0, 2 * bottom - y0), slice(2 * left - x0, 2 * right - x0)
    photo = F.avg_pool2d(window.photo[rows, columns].permute(2, 0, 1)[None], 2)[0].permute(1, 2, 0)
    return dataclasses.replace(
        window,
        camera=Camera(camera.viewmat, K, camera.width // 2, camera.height // 2),
        rect=(left, top, right, bottom),
        photo=photo,
        mask=window.mask[rows, columns][::2, ::2],
    )


def drawn(ready: Ready, chance: random.Random, settings: DensificationSamples) -> Ready:
    """Some of the photos, some of the Gaussians, some share of children that go on."""
    count = len(ready.looks)
    some = sorted(chance.sample(range(count), min(count, chance.randint(2, MOST_WINDOWS))))
    chosen = chance.sample(range(len(ready.targets)), min(len(ready.targets), MOST_TARGETS))
    part = chance.uniform(*settings.parts)
    if chance.random() < settings.at_random:
        seeded = torch.Generator().manual_seed(chance.randrange(1 << 30))
        scores = torch.rand(len(ready.inputs.old), generator=seeded).to(ready.inputs.old.device)
    else:
        scores = scores_of(ready, some)
    return Ready(
        inputs=dataclasses.replace(ready.inputs, windows=tuple(ready.inputs.windows[i] for i in some)),
        looks=tuple(ready.looks[i] for i in some),
        targets=tuple(ready.targets[i] for i in chosen),
        before=tuple(ready.before[i] for i in chosen),
        rows=highest(scores, part),
        share=chance.uniform(*settings.shares),
    )


def scores_of(ready: Ready, some: Sequence[int]) -> Tensor:
    return scores_of_looks([ready.looks[i] for i in some], [ready.inputs.windows[i] for i in some])


def highest(scores: Tensor, part: float) -> Bool[Tensor, "P"]:
    """The given part of all, those with the highest scores."""
    rows = torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
    rows[scores.argsort(descending=True, stable=True)[: max(1, math.ceil(part * len(scores)))]] = True
    return rows


def run_sample(
    network: GenerativeDensification, ready: Ready, rasterizer: Rasterizer, scale: float | None = None
) -> dict[str, float]:
    """Gains in dB over the input after each stage; with a `scale`, gradients of the loss times it are added.

    The loss of a stage is log(error / error of the input). Settling sees the fine Gaussians, not their gradients.
    """
    assert ready.rows is not None
    inputs, looks = split_off(ready.inputs, ready.looks, ready.rows)
    yardstick = _Yardstick(inputs.frozen, ready, rasterizer)
    with torch.set_grad_enabled(scale is not None):
        prepared = prepare(inputs, STRIDE, rasterizer, looks)
        maps = network.maps(network_views(network.trunk, prepared, looks))
        grown = network(inputs.old, as_points(prepared, inputs.old, looks), maps, ready.share)
        errors = [yardstick.error(grown.coarse), yardstick.error(grown.fine)]
        _learn(errors, WEIGHTS[:2], yardstick.before, scale)
        again, looks = regrown(prepared, grown.fine.detach(), grown.ancestors, rasterizer)
        maps = network.maps(network_views(network.trunk, again, looks))
        settled = network.settle(again.inputs.old, as_points(again, again.inputs.old, looks), maps)
        errors.append(yardstick.error(settled))
        _learn(errors[2:], WEIGHTS[2:], yardstick.before, scale)
    gains = {name: _gain(yardstick.before, error) for name, error in zip(STAGES, errors, strict=True)}
    return {**gains, "worse": float(gains["settled"] < 0)}


@dataclass(frozen=True, eq=False)
class _Yardstick:
    """Measures what takes the place of a sample's densified Gaussians on the sample's targets."""

    frozen: Gaussians
    """What it is drawn with."""
    ready: Ready
    rasterizer: Rasterizer

    @functools.cached_property
    def weight(self) -> float:
        return sum(target_weight(target) for target in self.ready.targets)

    @property
    def before(self) -> float:
        """Mean squared error of the input."""
        return sum(self.ready.before) / self.weight

    def error(self, moving: Gaussians) -> Tensor:
        """Mean squared error, differentiable in `moving`."""
        mode = self.ready.inputs.mode
        errors = [target_error(self.frozen, moving, target, self.rasterizer, mode) for target in self.ready.targets]
        return torch.stack(errors).sum() / self.weight


def _learn(errors: Sequence[Tensor], weights: Sequence[float], before: float, scale: float | None) -> None:
    """Adds the gradients of these stages' losses; nothing without a `scale`, or where the loss is no number."""
    if scale is None:
        return
    terms = [w * torch.log((e + FLOOR) / (before + FLOOR)) for w, e in zip(weights, errors, strict=True)]
    loss = scale * torch.stack(terms).sum()
    if bool(loss.isfinite()):
        loss.backward()


def _gain(before: float, error: Tensor) -> float:
    """dB"""
    return 10 * math.log10(max(before, 1e-9) / max(float(error.detach()), 1e-9))


class DensificationTrainee(Trainee):
    """The network with its samples."""

    def __init__(
        self, network: GenerativeDensification, settings: DensificationSamples, out: Path, rasterizer: Rasterizer
    ):
        """`out` keeps the list of validation files."""
        self.network, self.settings, self.out, self.rasterizer = network, settings, out, rasterizer
        self._stream: Iterator[Ready] | None = None

    def losses(self, network: nn.Module, number: int, progress: float) -> dict[str, float]:
        assert isinstance(network, GenerativeDensification)
        settings = self.settings
        if self._stream is None:
            chance = random.Random(settings.seed + number)

            def ready(sample: Sample) -> Ready:
                return make_ready(sample, self.rasterizer, chance.random() < settings.halved)

            def some(ready: Ready, chance: random.Random) -> Ready:
                return drawn(ready, chance, settings)

            self._stream = iter(Stream(settings.data, settings.seed + number, ready, some))
        gains = [
            run_sample(network, next(self._stream), self.rasterizer, 1 / settings.accumulate)
            for _ in range(settings.accumulate)
        ]
        return {key: sum(one[key] for one in gains) / len(gains) for key in gains[0]}

    def between(self, number: int) -> None:
        pass

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Mean gains on held-out scenes, photos alternately in full and half size; the score is the mean of real and
        procedural ones at the end."""
        assert isinstance(network, GenerativeDensification)
        figures: dict[str, float] = {}
        for kind in ("real", "procedural"):
            samples = validation_samples(self.settings.data, self.out, kind, self.settings.validation_samples)
            gains = [self._validated(network, sample, index) for index, sample in enumerate(samples)]
            if gains:
                figures |= {f"{kind}_{key}": sum(one[key] for one in gains) / len(gains) for key in gains[0]}
        last = [value for key, value in figures.items() if key.endswith("settled")]
        return {"score": sum(last) / max(1, len(last)), **figures}

    def _validated(self, network: GenerativeDensification, sample: Sample, index: int) -> dict[str, float]:
        ready = make_ready(sample, self.rasterizer, index % 2 == 1)
        rows = highest(scores_of(ready, range(len(ready.looks))), self.settings.validation_part)
        chosen = dataclasses.replace(ready, rows=rows, share=self.settings.validation_share)
        return run_sample(network, chosen, self.rasterizer)
