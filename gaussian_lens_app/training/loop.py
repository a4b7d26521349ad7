"""Training that can be stopped at any moment: checkpoints, a log of losses and validation, a plot."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from gaussian_lens_app.formats.atomic import write_atomically
from gaussian_lens_app.networks.gaussian_lens import PRESETS, GaussianLens, LensConfig
from gaussian_lens_app.raster import Rasterizer
from gaussian_lens_app.training.data import Stream, files
from gaussian_lens_app.training.plot import plot_log
from gaussian_lens_app.training.samples import Sample, load_samples
from gaussian_lens_app.training.settings import TrainSettings
from gaussian_lens_app.training.step import Errors, Ready, make_ready, run_sample


class Training:
    """Weights, their running mean, the optimiser and the time spent; `run` goes on until the hours are used."""

    def __init__(
        self,
        settings: TrainSettings,
        rasterizer: Rasterizer,
        tell: Callable[[str], None] = print,
        grow: Iterator[Path] | None = None,
        config: LensConfig | None = None,
    ):
        """`grow` makes another file of samples at each step; it is asked every few updates. `config` replaces the
        preset's."""
        config = config or PRESETS[settings.preset]
        self.grow = iter(()) if grow is None else grow
        self.settings, self.rasterizer, self.tell = settings, rasterizer, tell
        torch.manual_seed(settings.seed)
        self.network, self.mean = (GaussianLens(config).to(settings.device) for _ in range(2))
        self.mean.load_state_dict(self.network.state_dict())
        self.adam = torch.optim.AdamW(self.network.parameters(), settings.rate, weight_decay=settings.weight_decay)
        self.updates, self.spent, self.best = 0, 0.0, -math.inf
        settings.out.mkdir(parents=True, exist_ok=True)
        if self.checkpoint.exists():
            self._restore()

    @property
    def checkpoint(self) -> Path:
        return self.settings.out / "checkpoint.pt"

    def begin_with(self, network: GaussianLens) -> None:
        """Take over the weights of a network of the same sizes."""
        for own in (self.network, self.mean):
            own.load_state_dict(network.state_dict())

    def run(self, minutes: float = math.inf, updates: float = math.inf) -> None:
        """Train until the hours of the settings, these minutes, or so many updates are over."""
        settings = self.settings
        stream = iter(Stream(settings.data, settings.seed + self.updates, self._ready))
        began, saved, validated = time.monotonic(), time.monotonic(), self._last_validation()
        recent: list[Errors] = []
        while self.spent < settings.hours * 3600 and time.monotonic() - began < minutes * 60 and self.updates < updates:
            start = time.monotonic()
            recent += self._update(stream)
            self.spent += time.monotonic() - start
            if self.updates % settings.grow_every == 0:
                next(self.grow, None)
            if self.updates % 20 == 0:
                self._log({"kind": "train", **summary(recent, self._passes()), "rate": self._rate()})
                recent = []
            if self.spent - validated > settings.validate_minutes * 60:
                self.validate()
                validated = self.spent
            if time.monotonic() - saved > settings.save_minutes * 60:
                self.save()
                saved = time.monotonic()
        self.validate()
        self.save()

    def validate(self) -> dict[str, float]:
        """Mean gains of the running mean of weights on held-out scenes; the best state is kept in best.pt."""
        figures: dict[str, float] = {}
        for kind in ("real", "procedural"):
            samples = self._validation_samples(kind)
            if samples:
                errors = [
                    run_sample(self.mean, self._ready(sample), self.settings.passes, self.rasterizer)
                    for sample in samples
                ]
                figures |= {f"{kind}_{key}": value for key, value in summary(errors, self.settings.passes).items()}
        last = [value for key, value in figures.items() if key.endswith(f"pass_{self.settings.passes}")]
        score = sum(last) / max(1, len(last))
        if last and score > self.best:
            self.best = score
            with write_atomically(self.settings.out / "best.pt") as file:
                torch.save({"network": self.mean.state_dict(), "spent": self.spent, "score": score}, file)
        self._log({"kind": "validation", "score": score, **figures})
        plot_log(self.settings.out / "log.jsonl")
        return figures

    def save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "mean": self.mean.state_dict(),
            "adam": self.adam.state_dict(),
            "numbers": [self.updates, self.spent, self.best],
        }
        with write_atomically(self.checkpoint) as file:
            torch.save(state, file)

    def _restore(self) -> None:
        state = torch.load(self.checkpoint, weights_only=True, map_location=self.settings.device)
        self.network.load_state_dict(state["network"])
        self.mean.load_state_dict(state["mean"])
        self.adam.load_state_dict(state["adam"])
        self.updates, self.spent, self.best = state["numbers"]
        self.tell(f"Going on after {self.updates} updates, {self.spent / 3600:.2f} h.")

    def _update(self, stream) -> list[Errors]:
        for group in self.adam.param_groups:
            group["lr"] = self._rate()
        count, mask_weight = self.settings.accumulate, self.settings.mask_weight
        chance = random.Random(self.settings.seed + self.updates)
        errors = [
            run_sample(
                self.network, next(stream), chance.randint(1, self._passes()), self.rasterizer, 1 / count, mask_weight
            )
            for _ in range(count)
        ]
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip)
        if bool(norm.isfinite()):
            self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        self.updates += 1
        decay = min(self.settings.average, self.updates / (self.updates + 10))
        with torch.no_grad():
            for mean, now in zip(self.mean.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)
        return errors

    def _ready(self, sample: Sample) -> Ready:
        return make_ready(sample, self.rasterizer, pixels=self.network.config.pixels)

    def _rate(self) -> float:
        settings = self.settings
        progress = min(1.0, self.spent / (settings.hours * 3600))
        warm = min(1.0, (self.updates + 1) / settings.warm_up)
        return settings.rate * warm * max(0.02, 0.5 * (1 + math.cos(math.pi * progress)))

    def _passes(self) -> int:
        return 1 if self.spent < self.settings.single_hours * 3600 else self.settings.passes

    def _validation_samples(self, kind: str) -> list[Sample]:
        """The same samples every time, whatever files come later: some of each file there was at first."""
        listing = self.settings.out / f"validation-{kind}.json"
        if not listing.exists():
            found = [path.name for path in files(self.settings.data, "val") if f"-{kind}-" in path.name]
            listing.write_text(json.dumps(found))
        chosen = json.loads(listing.read_text())
        count = self.settings.validation_samples
        each = max(1, math.ceil(count / max(1, len(chosen))))
        return [sample for name in chosen for sample in load_samples(self.settings.data / name)[:each]][:count]

    def _last_validation(self) -> float:
        return self.spent if self.updates else -math.inf

    def _log(self, entry: dict[str, Any]) -> None:
        entry = {"updates": self.updates, "hours": round(self.spent / 3600, 4), **entry}
        with (self.settings.out / "log.jsonl").open("a") as file:
            file.write(json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in entry.items()}) + "\n")
        if entry["kind"] == "validation":
            self.tell(json.dumps(entry))


def summary(errors: list[Errors], passes: int) -> dict[str, float]:
    """Mean gains over the input in dB: the pixel layer's and after each pass; and how many samples lost."""

    def gain(before: float, after: float) -> float:
        return 10 * math.log10(max(before, 1e-9) / max(after, 1e-9))

    count = max(1, len(errors))
    figures = {"pixels": sum(gain(e.before, e.pixels) for e in errors) / count}
    for n in range(passes):
        reached = [gain(e.before, e.after[n]) for e in errors if len(e.after) > n]
        figures[f"pass_{n + 1}"] = sum(reached) / max(1, len(reached))
    figures["worse"] = sum(e.after[-1] > e.before for e in errors) / count
    return figures
