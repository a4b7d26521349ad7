"""Files of samples, one a scene: made from seeds, procedural and real, split into training and validation by scene."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from jaxtyping import UInt8

from gaussian_lens_app.errors import FileError
from gaussian_lens_app.formats import load_capture
from gaussian_lens_app.raster import Rasterizer
from gaussian_lens_app.training.samples import Sample, SampleSettings, load_samples, random_samples, save_samples
from gaussian_lens_app.training.scaffolds import ScaffoldSettings, random_scaffold
from gaussian_lens_app.training.step import lighter
from gaussian_lens_app.training.variety import unchanged
from gaussian_lens_app.training.worlds import WorldSettings, random_capture

R = TypeVar("R")

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


def read_decals(captures: Sequence[Path], photos: int = 4, but: str = "") -> list[UInt8[np.ndarray, "H W 3"]]:
    """Some photos of each capture at half size, where single pixels carry detail.

    None of the folder called `but`: what validates does not decorate what trains.
    """
    decals = []
    for folder in captures:
        if folder.name == but:
            continue
        capture = load_capture(folder)
        for i in range(0, len(capture), max(1, len(capture) // photos)):
            photo = capture.photos[i]
            half = photo.with_long_side(max(photo.camera.width, photo.camera.height) // 2)
            decals.append(half.load().numpy())
    return decals


def files(folder: Path, split: str) -> list[Path]:
    """The sample files of "train" or "val", sorted."""
    return sorted(folder.glob(f"{split}-*.pt"))


TRIES = 100
"""A scene may come to no samples; so many in a row mean that there are none."""
USES = 3
"""A sample that has been made ready is used so often, each time with other photos of it."""


class Stream(Generic[R]):
    """Endless random samples from a folder that may still be growing; a pool of files is in memory.

    `ready` does once for a sample what is the same in every use of it; `some` picks what one use looks at; `change` is
    what becomes of a sample before either (training/variety.py).
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        ready: Callable[[Sample], R],
        some: Callable[[Any, random.Random], R] = lighter,
        pool: int = 24,
        real_share: float = 0.5,
        change: Callable[[Sample, random.Random], Sample] = unchanged,
    ):
        self.folder, self.random, self.ready, self.some = folder, random.Random(seed), ready, some
        self.pool, self.real_share, self.change = pool, real_share, change
        self.loaded: list[list[Sample | tuple[R, int]]] = []

    def __iter__(self) -> Iterator[R]:
        while True:
            while len(self.loaded) < self.pool:
                self.loaded.append(self._fresh())
            samples = self.random.choice(self.loaded)
            if samples:
                yield self.some(self._used(samples), self.random)
            if not samples:
                self.loaded.remove(samples)

    def _used(self, samples: list[Sample | tuple[R, int]]) -> R:
        """One of the samples, made ready at its first use and dropped after its last."""
        index = self.random.randrange(len(samples))
        sample = samples[index]
        ready, left = (self.ready(self.change(sample, self.random)), USES) if isinstance(sample, Sample) else sample
        if left > 1:
            samples[index] = (ready, left - 1)
        else:
            del samples[index]
        return ready

    def _fresh(self) -> list[Sample | tuple[R, int]]:
        for _ in range(TRIES):
            every = files(self.folder, "train")
            real = [path for path in every if "-real-" in path.name]
            made = [path for path in every if "-real-" not in path.name]
            kind = real if real and (not made or self.random.random() < self.real_share) else made
            samples = load_samples(self.random.choice(kind)) if kind else []
            if samples:
                return list(self.random.sample(samples, min(8, len(samples))))
        raise FileError(f"{self.folder} has no training samples: make some with --scenes 10, or give --captures.")
