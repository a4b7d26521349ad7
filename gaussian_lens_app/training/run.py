"""Training that can be stopped at any moment: checkpoints, a log of losses and validation, a plot."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from gaussian_lens_app.formats.atomic import write_atomically
from gaussian_lens_app.training.plot import plot_log
from gaussian_lens_app.training.ranks import Ranks

LOG_EVERY = 20
"""Updates."""


@dataclass(frozen=True)
class RunSettings:
    """How long, how fast and where; a run that was stopped goes on from its last checkpoint."""

    out: Path
    """Folder for checkpoints, the log and its plot."""
    hours: float = 4.0
    """Training time over which the rate falls to zero, interruptions apart."""
    rate: float = 1.5e-3
    """Learning rate at its highest."""
    warm_up: int = 50
    """Updates over which the rate rises."""
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = 1.0
    """Longest gradient an update follows."""
    average: float = 0.99
    """Decay of the running mean of weights that is validated and released."""
    save_minutes: float = 3.0
    validate_minutes: float = 10.0
    device: str = "cpu"


class Trainee(Protocol):
    """What is trained: a network, what an update looks at, and how good the network is."""

    network: nn.Module

    def losses(self, network: nn.Module, number: int, progress: float) -> Mapping[str, float]:
        """Figures of one update's samples; gradients of their summed loss are added to the network's.

        `number` counts updates from 0, `progress` is the part of the training time that is over.
        """
        ...

    def validate(self, network: nn.Module) -> Mapping[str, float]:
        """Figures on samples that never train, the same every time; "score" is the one that should grow."""
        ...

    def between(self, number: int) -> None:
        """Called after each update; its time is not training time."""


class Run:
    """Weights, their running mean, the optimiser and the time spent; `run` goes on until the hours are used.

    Under torchrun the gradients of all processes are averaged; the first one writes, validates and decides.
    """

    def __init__(self, trainee: Trainee, settings: RunSettings, tell: Callable[[str], None] = print):
        self.trainee, self.settings, self.tell = trainee, settings, tell
        self.ranks = Ranks.joined()
        self.network = trainee.network.to(settings.device)
        self.mean = copy.deepcopy(self.network)
        self.adam = torch.optim.AdamW(
            self.network.parameters(), settings.rate, settings.betas, weight_decay=settings.weight_decay
        )
        self.updates, self.spent, self.best = 0, 0.0, -math.inf
        settings.out.mkdir(parents=True, exist_ok=True)
        if self.checkpoint.exists():
            self._restore()
        self.ranks.same_weights(self.network, self.mean)

    @property
    def checkpoint(self) -> Path:
        return self.settings.out / "checkpoint.pt"

    def begin_with(self, network: nn.Module) -> None:
        """Take over the weights of a network of the same sizes."""
        for own in (self.network, self.mean):
            own.load_state_dict(network.state_dict())

    def run(self, minutes: float = math.inf, updates: float = math.inf) -> None:
        """Train until the hours of the settings, these minutes, or so many updates are over."""
        settings = self.settings
        began, saved = time.monotonic(), time.monotonic()
        validated = self.spent if self.updates else -math.inf
        recent: list[Mapping[str, float]] = []
        while self.spent < settings.hours * 3600 and self._since(began) < minutes * 60 and self.updates < updates:
            start = time.monotonic()
            recent.append(self._update())
            self.spent += self.ranks.agree(time.monotonic() - start)
            self.trainee.between(self.updates)
            if self.updates % LOG_EVERY == 0:
                self._log({"kind": "train", **mean_figures(recent), "rate": self._rate()})
                recent = []
            if self.spent - validated > settings.validate_minutes * 60:
                self.validate()
                validated = self.spent
            if self._since(saved) > settings.save_minutes * 60:
                self.save()
                saved = time.monotonic()
        self.validate()
        self.save()

    def validate(self) -> Mapping[str, float]:
        """Figures of the running mean of weights on held-out samples; the best state is kept in best.pt."""
        if not self.ranks.first:
            return {}
        figures = self.trainee.validate(self.mean)
        score = figures["score"]
        if score > self.best:
            self.best = score
            with write_atomically(self.settings.out / "best.pt") as file:
                torch.save({"network": self.mean.state_dict(), "spent": self.spent, "score": score}, file)
        self._log({"kind": "validation", **figures})
        plot_log(self.settings.out / "log.jsonl")
        return figures

    def save(self) -> None:
        """Write all that is needed to go on later."""
        if not self.ranks.first:
            return
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

    def _update(self) -> Mapping[str, float]:
        for group in self.adam.param_groups:
            group["lr"] = self._rate()
        number = self.updates * self.ranks.count + self.ranks.rank  # each process looks at other samples
        figures = self.trainee.losses(self.network, number, self._progress())
        self.ranks.mean_gradients(self.network.parameters())
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip)
        if bool(norm.isfinite()):
            self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        self.updates += 1
        decay = min(self.settings.average, self.updates / (self.updates + 10))
        with torch.no_grad():
            for mean, now in zip(self.mean.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)
        return figures

    def _since(self, moment: float) -> float:
        """Seconds, by the first process's clock."""
        return self.ranks.agree(time.monotonic() - moment)

    def _progress(self) -> float:
        return min(1.0, self.spent / (self.settings.hours * 3600))

    def _rate(self) -> float:
        warm = min(1.0, (self.updates + 1) / self.settings.warm_up)
        return self.settings.rate * warm * max(0.02, 0.5 * (1 + math.cos(math.pi * self._progress())))

    def _log(self, entry: dict[str, Any]) -> None:
        if not self.ranks.first:
            return
        entry = {"updates": self.updates, "hours": round(self.spent / 3600, 4), **entry}
        with (self.settings.out / "log.jsonl").open("a") as file:
            file.write(json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in entry.items()}) + "\n")
        if entry["kind"] == "validation":
            self.tell(json.dumps(entry))


def mean_figures(figures: list[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each figure over the updates that have it."""
    keys = dict.fromkeys(key for entry in figures for key in entry)
    return {key: _mean([entry[key] for entry in figures if key in entry]) for key in keys}


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
