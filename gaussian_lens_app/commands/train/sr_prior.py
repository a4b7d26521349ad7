"""`gsr train sr-prior`: crops of photos and procedural pictures, and the prior that makes them sharp again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gaussian_lens_app.commands.arguments import Device, OptionalPath
from gaussian_lens_app.commands.reading import check_target


@dataclass(frozen=True)
class TrainSRPrior:
    """Train the embedded 2D super-resolution prior (docs/3dsr.md)."""

    captures: tuple[Path, ...] = ()
    """Captures whose photos train; with the test photos of --holdout 8:4 kept out."""
    out: Path = Path(".training/sr_prior")
    """Folder for checkpoints, log.jsonl and its plot."""
    preset: Literal["cpu", "gpu"] = "cpu"
    """Size of the network: 1.8 or 6.6 million parameters."""
    hours: float = 1.2
    """Training time over which the rate falls to zero, interruptions apart."""
    minutes: float = math.inf
    """Stop after so many minutes; the same command goes on later."""
    rate: float = 8e-4
    """Learning rate at its highest."""
    batch: int = 8
    """Crops an update."""
    side: int = 128
    """Pixels of a crop."""
    float32: bool = False
    """Compute in full precision; bfloat16 is twice as fast on processors and cards that know it."""
    release: OptionalPath = None
    """Write the best weights so far to this .safetensors file, print its sha256 and stop."""
    threads: int = 0
    """Processor threads; 0: as many as torch takes."""
    device: Device = "auto"
    """Where to train."""
    seed: int = 0

    def run(self) -> None:
        import torch

        from gaussian_lens_app.networks.sr_prior import PRESETS

        if self.release is not None:
            self._release(PRESETS[self.preset])
            return
        from gaussian_lens_app.training.run import Run, RunSettings
        from gaussian_lens_app.training.sr_prior import PriorSettings, PriorTrainee

        if self.threads:
            torch.set_num_threads(self.threads)
        device = "cuda" if self.device == "auto" and torch.cuda.is_available() else self.device.replace("auto", "cpu")
        settings = PriorSettings(batch=self.batch, side=self.side, bfloat16=not self.float32, seed=self.seed)
        run_settings = RunSettings(
            self.out,
            hours=self.hours,
            rate=self.rate,
            warm_up=100,
            weight_decay=0.0,
            betas=(0.9, 0.99),
            average=0.998,
            validate_minutes=4,
            device=device,
        )
        Run(PriorTrainee(PRESETS[self.preset], self.captures, settings), run_settings).run(self.minutes)

    def _release(self, config) -> None:
        from gaussian_lens_app.training.release import release

        assert self.release is not None
        file = check_target(self.release, ".safetensors")
        print(f"{file}: sha256 {release(self.out, 'sr-prior', config, file)}")
