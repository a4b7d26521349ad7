"""`gsr train`: makes training data and trains a network on it; an interrupted run goes on where it stopped."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from gaussian_lens_app.commands.arguments import Device, OptionalPath
from gaussian_lens_app.commands.reading import check_target


@dataclass(frozen=True)
class Train:
    """Train a network from procedural scenes and captures (docs/gaussian_lens.md)."""

    network: Positional[Literal["gaussian-lens"]]
    """What to train."""
    data: Path = Path(".training/data")
    """Folder of sample files; scenes that are there already are kept."""
    out: Path = Path(".training/gaussian-lens")
    """Folder for checkpoints, log.jsonl and its plot."""
    captures: tuple[Path, ...] = ()
    """Real captures: photos from them decorate procedural scenes, and they are training scenes themselves."""
    scenes: int = 300
    """Procedural scenes to have before training starts; 0: train on what is there."""
    grow: int = 0
    """So many procedural scenes more are made during training, one every few updates."""
    first: int = 1
    """Number, which is the seed, of the first procedural scene."""
    folds: int = 3
    """Low-resolution fits of each real capture, each with other photos kept out."""
    validation_capture: str = ""
    """Folder name of the capture that validates instead of training."""
    only_data: bool = False
    """Make the data and stop."""
    preset: Literal["cpu", "gpu"] = "cpu"
    """Size of the network: under a million parameters, or up to seven."""
    hours: float = 4.0
    """Training time, interruptions apart."""
    rate: float = 1.5e-3
    """Learning rate at its highest."""
    accumulate: int = 4
    """Samples an update."""
    start: OptionalPath = None
    """Begin a new run with the weights of this .safetensors file."""
    minutes: float = math.inf
    """Stop after so many minutes; the same command goes on later."""
    threads: int = 0
    """Processor threads; 0: as many as torch takes."""
    release: OptionalPath = None
    """Write the best weights so far to this .safetensors file, print its sha256 and stop."""
    device: Device = "auto"
    """Where to train."""
    seed: int = 0

    def run(self) -> None:
        if self.release is not None:
            self._release(self.release)
            return
        import torch

        if self.threads:
            torch.set_num_threads(self.threads)
        from gaussian_lens_app.commands.device import ready_rasterizer
        from gaussian_lens_app.networks.weights import load_lens
        from gaussian_lens_app.optimize.reconstruct import device_of
        from gaussian_lens_app.training.loop import Training
        from gaussian_lens_app.training.make import made, make_data
        from gaussian_lens_app.training.settings import TrainSettings

        rasterizer = ready_rasterizer(self.device)
        last = self.first + self.scenes
        make_data(self.data, range(self.first, last), self.captures, self.folds, self.validation_capture, rasterizer)
        if self.only_data:
            return
        settings = TrainSettings(
            data=self.data,
            out=self.out,
            preset=self.preset,
            hours=self.hours,
            rate=self.rate,
            accumulate=self.accumulate,
            single_hours=TrainSettings.single_hours if self.start is None else 0.0,
            device=device_of(rasterizer),
            seed=self.seed,
        )
        more = range(last, last + self.grow)
        grow = made(self.data, more, self.captures, 0, self.validation_capture, rasterizer) if self.grow else None
        training = Training(settings, rasterizer, grow=grow)
        if self.start is not None and training.updates == 0:
            training.begin_with(load_lens(self.start))
        training.run(self.minutes)

    def _release(self, path: Path) -> None:
        check_target(path, ".safetensors")
        from gaussian_lens_app.training.release import release

        print(f"{path}: sha256 {release(self.out, self.preset, path)}")
