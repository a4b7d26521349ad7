"""`gsr train generative-densification`: the network that replaces a scene's worst Gaussians by finer ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gaussian_lens_app.commands.train.options import RunOptions

if TYPE_CHECKING:
    from gaussian_lens_app.training.densification import DensificationTrainee


@dataclass(frozen=True)
class TrainGenerativeDensification:
    """Train Generative Densification on the boxes that `gsr train gaussian-lens --only-data` made
    (docs/generative_densification.md)."""

    run_options: RunOptions = field(default_factory=RunOptions)
    data: Path = Path(".training/data")
    """Folder of sample files."""
    out: Path = Path(".training/generative-densification")
    """Folder for checkpoints, log.jsonl and its plot."""
    preset: Literal["cpu", "gpu"] = "cpu"
    """Size of the network: under a million parameters, or about nine."""
    accumulate: int = 4
    """Samples an update."""
    from_scratch: bool = False
    """Leave the trunk untrained; otherwise the `cpu` preset begins with the released GaussianLens."""

    def run(self) -> None:
        from gaussian_lens_app.networks.generative_densification import PRESETS

        name = "generative-densification"
        if self.run_options.release is not None:
            self.run_options.write_release(self.out, name, PRESETS[self.preset])
            return
        self.run_options.limit_threads()
        from gaussian_lens_app.commands.device import ready_rasterizer

        rasterizer = ready_rasterizer(self.run_options.device)
        self.run_options.train(name, self.out, lambda: self._trainee(rasterizer), rasterizer.device)

    def _trainee(self, rasterizer) -> DensificationTrainee:
        from gaussian_lens_app.networks.gaussian_lens import GaussianLens
        from gaussian_lens_app.networks.generative_densification import PRESETS, GenerativeDensification
        from gaussian_lens_app.networks.weights import load_released
        from gaussian_lens_app.training.densification import DensificationSamples, DensificationTrainee

        network = GenerativeDensification(PRESETS[self.preset])
        if self.preset == "cpu" and not self.from_scratch:
            lens = load_released("gaussian-lens")
            assert isinstance(lens, GaussianLens)
            network.begin_with(lens)
        settings = DensificationSamples(self.data, accumulate=self.accumulate, seed=self.run_options.seed)
        return DensificationTrainee(network, settings, self.out, rasterizer)
