"""Files of samples, one a scene: made from seeds, procedural and real, split into training and validation by scene."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from gaussian_lens_app.formats import load_capture
from gaussian_lens_app.raster import Rasterizer
from gaussian_lens_app.training.samples import Sample, SampleSettings, load_samples, random_samples, save_samples
from gaussian_lens_app.training.scaffolds import ScaffoldSettings, random_scaffold
from gaussian_lens_app.training.worlds import WorldSettings, random_capture

VALIDATION_EVERY = 10
"""Procedural scenes whose number is a multiple of this never train."""


@dataclass(frozen=True)
class DataSettings:
    """How procedural samples are made."""

    world: WorldSettings = field(default_factory=WorldSettings)
    scaffold: ScaffoldSettings = field(default_factory=ScaffoldSettings)
    samples: SampleSettings = field(default_factory=SampleSettings)


def make_procedural(
    folder: Path, number: int, decals: Sequence[np.ndarray], rasterizer: Rasterizer, settings: DataSettings
) -> Path:
    """The file of procedural scene `number`; made only where it is not there yet."""
    path = folder / f"{'val' if number % VALIDATION_EVERY == 0 else 'train'}-procedural-{number:06d}.pt"
    if path.exists():
        return path
    taken = random_capture(number, decals, settings.world)
    rng = np.random.default_rng([number, 1])
    scaffold = random_scaffold(taken, rng, rasterizer, settings.scaffold)
    factor = float(settings.scaffold.factor)
    samples = random_samples(scaffold.scene, taken.capture, scaffold.context, factor, rng, rasterizer, settings.samples)
    save_samples(path, list(samples), {"kind": scaffold.kind, "gaussians": len(scaffold.scene), "seed": number})
    return path


def read_decals(captures: Sequence[Path], photos: int = 4) -> list[UInt8[np.ndarray, "H W 3"]]:
    """Some photos of each capture at half size, where single pixels carry detail."""
    decals = []
    for folder in captures:
        capture = load_capture(folder)
        for i in range(0, len(capture), max(1, len(capture) // photos)):
            photo = capture.photos[i]
            half = photo.with_long_side(max(photo.camera.width, photo.camera.height) // 2)
            decals.append(half.load().numpy())
    return decals


def files(folder: Path, split: str) -> list[Path]:
    """The sample files of "train" or "val", sorted."""
    return sorted(folder.glob(f"{split}-*.pt"))


MOST_WINDOWS, MOST_TARGETS = 5, 2


def lighter(sample: Sample, chance: random.Random) -> Sample:
    """The sample with some of its photos: those that gave pixel Gaussians and a few more, two to measure on."""
    windows, targets = list(sample.inputs.windows), list(sample.targets)
    more = windows[2:]
    chosen = chance.sample(more, min(len(more), chance.randint(0, MOST_WINDOWS - 2)))
    kept = tuple(window for window in windows if window in windows[:2] or window in chosen)
    inputs = dataclasses.replace(sample.inputs, windows=kept)
    targets = tuple(chance.sample(targets, min(len(targets), MOST_TARGETS)))
    return dataclasses.replace(sample, inputs=inputs, targets=targets)


class Stream:
    """Endless random samples from a folder that may still be growing; a pool of files is in memory."""

    def __init__(self, folder: Path, seed: int, pool: int = 24, real_share: float = 0.4):
        self.folder, self.random, self.pool, self.real_share = folder, random.Random(seed), pool, real_share
        self.loaded: list[list[Sample]] = []

    def __iter__(self) -> Iterator[Sample]:
        while True:
            while len(self.loaded) < self.pool:
                self.loaded.append(self._fresh())
            samples = self.random.choice(self.loaded)
            if samples:
                yield lighter(samples.pop(self.random.randrange(len(samples))), self.random)
            if len(samples) <= 1:
                self.loaded.remove(samples)

    def _fresh(self) -> list[Sample]:
        every = files(self.folder, "train")
        real = [path for path in every if "-real-" in path.name]
        made = [path for path in every if "-real-" not in path.name]
        kind = real if real and (not made or self.random.random() < self.real_share) else made
        samples = load_samples(self.random.choice(kind))
        return self.random.sample(samples, min(8, len(samples)))
