"""`gsr train gaussian-lens`: boxes in procedural scenes and captures, and the network that sharpens them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gaussian_lens_app.commands.train.options import RunOptions

if TYPE_CHECKING:
    from gaussian_lens_app.training.lens import LensTrainee


@dataclass(frozen=True)
class TrainGaussianLens:
    """Train GaussianLens from procedural scenes and captures (docs/gaussian_lens.md)."""

    run_options: RunOptions = field(default_factory=RunOptions)
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
    folds: int = 9
    """Low-resolution fits of each real capture, each with other photos kept out; three each in full, half and three
    quarters of the photos' size."""
    validation_capture: str = ""
    """Folder name of the capture that validates instead of training."""
    only_data: bool = False
    """Make the data and stop."""
    preset: Literal["cpu", "gpu"] = "cpu"
    """Size of the network: under a million parameters, or up to seven."""
    accumulate: int = 4
    """Samples an update."""
    varied: bool = False
    """Train on samples mirrored, rolled, recoloured and with some photos small, at random."""

    def run(self) -> None:
        from gaussian_lens_app.networks.gaussian_lens import PRESETS

        if self.run_options.release is not None:
            self.run_options.write_release(self.out, "gaussian-lens", PRESETS[self.preset])
            return
        self.run_options.limit_threads()
        from gaussian_lens_app.commands.device import ready_rasterizer
        from gaussian_lens_app.training.make import make_data

        rasterizer = ready_rasterizer(self.run_options.device)
        numbers = range(self.first, self.first + self.scenes)
        make_data(self.data, numbers, self.captures, self.folds, self.validation_capture, rasterizer)
        if not self.only_data:
            self.run_options.train("gaussian-lens", self.out, lambda: self._trainee(rasterizer), rasterizer.device)

    def _trainee(self, rasterizer) -> LensTrainee:
        from gaussian_lens_app.networks.gaussian_lens import PRESETS, GaussianLens
        from gaussian_lens_app.training.lens import LensTrainee
        from gaussian_lens_app.training.make import made
        from gaussian_lens_app.training.settings import LensSettings

        seed, last = self.run_options.seed, self.first + self.scenes
        single = LensSettings.single if self.run_options.start is None else 0.0
        settings = LensSettings(self.data, single=single, accumulate=self.accumulate, varied=self.varied, seed=seed)
        more = range(last, last + self.grow)
        grow = made(self.data, more, self.captures, 0, self.validation_capture, rasterizer) if self.grow else None
        return LensTrainee(GaussianLens(PRESETS[self.preset]), settings, self.out, rasterizer, grow)
