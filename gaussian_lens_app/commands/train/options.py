"""What training any network asks for, and starting it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gaussian_lens_app.commands.arguments import Device, OptionalPath
from gaussian_lens_app.commands.reading import check_target

if TYPE_CHECKING:
    from gaussian_lens_app.training.run import Trainee


@dataclass(frozen=True)
class RunOptions:
    """Time, place and rate."""

    hours: float = 4.0
    """Training time over which the rate falls to zero, interruptions apart."""
    minutes: float = math.inf
    """Stop after so many minutes; the same command goes on later."""
    rate: float = 1.5e-3
    """Learning rate at its highest."""
    start: OptionalPath = None
    """Begin a new run with the weights of this .safetensors file."""
    release: OptionalPath = None
    """Write the best weights so far to this .safetensors file, print its sha256 and stop."""
    threads: int = 0
    """Processor threads; 0: as many as torch takes."""
    device: Device = "auto"
    """Where to train."""
    seed: int = 0

    def limit_threads(self) -> None:
        """Keep torch to the threads asked for."""
        import torch

        if self.threads:
            torch.set_num_threads(self.threads)

    def write_release(self, out: Path, name: str, config: Any) -> None:
        """What `--release` asks for."""
        assert self.release is not None
        file = check_target(self.release, ".safetensors")
        from gaussian_lens_app.training.release import release

        print(f"{file}: sha256 {release(out, name, config, file)}")

    def train(self, name: str, out: Path, trainee: Callable[[], Trainee], device: str) -> None:
        """Train what `trainee` makes, from the start or from the last checkpoint in `out`."""
        import torch

        from gaussian_lens_app.networks.weights import load_network
        from gaussian_lens_app.training.run import Run, RunSettings

        torch.manual_seed(self.seed)
        settings = RunSettings(out, hours=self.hours, rate=self.rate, device=device)
        run = Run(trainee(), settings)
        if self.start is not None and run.updates == 0:
            run.begin_with(load_network(self.start, name))
        run.run(self.minutes)
