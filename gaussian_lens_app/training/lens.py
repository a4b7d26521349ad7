"""GaussianLens as something to train: boxes from sample files, judged on photos that were kept out."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from pathlib import Path

from torch import nn

from gaussian_lens_app.networks.gaussian_lens import GaussianLens
from gaussian_lens_app.raster import Rasterizer
from gaussian_lens_app.training.data import Stream, files
from gaussian_lens_app.training.run import Trainee
from gaussian_lens_app.training.samples import Sample, load_samples
from gaussian_lens_app.training.settings import LensSettings
from gaussian_lens_app.training.step import Errors, Ready, make_ready, run_sample
from gaussian_lens_app.training.variety import glimpsing, unchanged, varied


class LensTrainee(Trainee):
    """The network with its samples."""

    def __init__(
        self,
        network: GaussianLens,
        settings: LensSettings,
        out: Path,
        rasterizer: Rasterizer,
        grow: Iterator[Path] | None = None,
    ):
        """`grow` makes another file of samples at each step; it is asked every few updates. `out` keeps the list of
        validation files."""
        self.network, self.settings, self.out, self.rasterizer = network, settings, out, rasterizer
        self.pixels = network.config.pixels
        self.grow = iter(()) if grow is None else grow
        self._stream: Iterator[Ready] | None = None

    def losses(self, network: nn.Module, number: int, progress: float) -> dict[str, float]:
        assert isinstance(network, GaussianLens)
        if self._stream is None:
            change = _changed if self.settings.varied else unchanged
            self._stream = iter(Stream(self.settings.data, self.settings.seed + number, self._ready, change=change))
        settings, passes = self.settings, 1 if progress < self.settings.single else self.settings.passes
        chance = random.Random(settings.seed + number)
        errors = [
            run_sample(
                network,
                next(self._stream),
                chance.randint(1, passes),
                self.rasterizer,
                1 / settings.accumulate,
                settings.mask_weight,
            )
            for _ in range(settings.accumulate)
        ]
        return summary(errors, passes)

    def between(self, number: int) -> None:
        if number % self.settings.grow_every == 0:
            next(self.grow, None)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Mean gains on held-out scenes; the score is the mean of real and procedural ones after the last pass."""
        assert isinstance(network, GaussianLens)
        figures: dict[str, float] = {}
        for kind in ("real", "procedural"):
            samples = validation_samples(self.settings.data, self.out, kind, self.settings.validation_samples)
            if samples:
                errors = [
                    run_sample(network, self._ready(sample), self.settings.passes, self.rasterizer)
                    for sample in samples
                ]
                figures |= {f"{kind}_{key}": value for key, value in summary(errors, self.settings.passes).items()}
        last = [value for key, value in figures.items() if key.endswith(f"pass_{self.settings.passes}")]
        return {"score": sum(last) / max(1, len(last)), **figures}

    def _ready(self, sample: Sample) -> Ready:
        return make_ready(sample, self.rasterizer, pixels=self.pixels)


def _changed(sample: Sample, chance: random.Random) -> Sample:
    """Another of its equivalents, and some of its photos small."""
    return glimpsing(varied(sample, chance), chance)


def validation_samples(data: Path, out: Path, kind: str, count: int) -> list[Sample]:
    """The same samples every time, whatever files come later: some of each file there was at first."""
    listing = out / f"validation-{kind}.json"
    if not listing.exists():
        listing.parent.mkdir(parents=True, exist_ok=True)
        found = [path.name for path in files(data, "val") if f"-{kind}-" in path.name]
        listing.write_text(json.dumps(found))
    chosen = json.loads(listing.read_text())
    each = max(1, math.ceil(count / max(1, len(chosen))))
    return [sample for name in chosen for sample in load_samples(data / name)[:each]][:count]


def summary(errors: list[Errors], passes: int) -> dict[str, float]:
    """Mean gains over the input in dB: the pixel layer's and after each pass; and how many samples lost."""

    def gain(before: float, after: float) -> float:
        return 10 * math.log10(max(before, 1e-9) / max(after, 1e-9))

    count = max(1, len(errors))
    figures = {"pixels": sum(gain(e.before, e.pixels) for e in errors) / count}
    for n in range(passes):
        reached = [gain(e.before, e.after[n]) for e in errors if len(e.after) > n]
        if reached:
            figures[f"pass_{n + 1}"] = sum(reached) / len(reached)
    figures["worse"] = sum(e.after[-1] > e.before for e in errors) / count
    kept = [e.kept for e in errors if e.kept is not None]
    return figures | ({"kept": sum(kept) / len(kept)} if kept else {})
