"""`gsr train sr3r`: the sample files of GaussianLens with their photos made small, and the network that undoes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gaussian_lens_app.commands.train.options import RunOptions

if TYPE_CHECKING:
    from gaussian_lens_app.training.sr3r import SR3RTrainee


@dataclass(frozen=True)
class TrainSR3R:
    """Train SR3R on the samples that `gsr train gaussian-lens --only-data` makes (docs/sr3r.md)."""

    run_options: RunOptions = field(default_factory=lambda: RunOptions(rate=6e-4))
    data: Path = Path(".training/data")
    """Folder of sample files."""
    out: Path = Path(".training/sr3r")
    """Folder for checkpoints, log.jsonl and its plot."""
    preset: Literal["cpu", "gpu"] = "cpu"
    """Size of the network: 1.3 or 6.9 million parameters."""
    upsampler: Literal["bicubic", "bilinear", "prior"] = "bicubic"
    """What enlarges the low-resolution photos."""
    accumulate: int = 4
    """Samples an update."""
    varied: bool = False
    """Train on samples mirrored, rolled and recoloured at random."""

    def run(self) -> None:
        from gaussian_lens_app.networks.sr3r import PRESETS

        if self.run_options.release is not None:
            self.run_options.write_release(self.out, "sr3r", PRESETS[self.preset])
            return
        self.run_options.limit_threads()
        from gaussian_lens_app.commands.device import ready_rasterizer

        rasterizer = ready_rasterizer(self.run_options.device)
        self.run_options.train("sr3r", self.out, lambda: self._trainee(rasterizer), rasterizer.device)

    def _trainee(self, rasterizer) -> SR3RTrainee:
        from gaussian_lens_app.networks.sr3r import PRESETS, SR3R
        from gaussian_lens_app.training.sr3r import SR3RSettings, SR3RTrainee

        settings = SR3RSettings(
            self.data,
            upsampler=self.upsampler,
            accumulate=self.accumulate,
            varied=self.varied,
            seed=self.run_options.seed,
        )
        return SR3RTrainee(SR3R(PRESETS[self.preset]), settings, self.out, rasterizer)
