"""`gsr train gaussian-vae`: scenes grown through resolutions, and the networks that predict how they grow."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gaussian_lens_app.commands.train.options import RunOptions

if TYPE_CHECKING:
    from gaussian_lens_app.raster import Rasterizer
    from gaussian_lens_app.training.gaussian_vae import VAETrainee


@dataclass(frozen=True)
class TrainGaussianVAE:
    """Train GaussianVAE from lineages of procedural scenes and captures (docs/gaussian_vae.md)."""

    run_options: RunOptions = field(default_factory=RunOptions)
    data: Path = Path(".training/gaussian-vae/lineages")
    """Folder of lineage files; those that are there already are kept."""
    out: Path = Path(".training/gaussian-vae/run")
    """Folder for checkpoints, log.jsonl and its plot."""
    captures: tuple[Path, ...] = ()
    """Real captures."""
    scenes: tuple[Path, ...] = ()
    """A low-resolution scene of each capture, made by `gsr reconstruct --holdout 8:4 --long-side 400`; file names are
    those of the captures' folders."""
    validation_capture: str = ""
    """Folder name of the capture that validates instead of training."""
    folds: int = 2
    """Times each capture is grown, each time without other photos."""
    procedural: int = 13
    """Procedural scenes."""
    only_data: bool = False
    """Make the data and stop."""
    rows: int = 4000
    """Gaussians of each level that are looked at."""
    batch: int = 1024
    """Families an update."""
    picture: float = 2.0
    """Weight of the pictures' loss; 0: lineages alone, as the paper does."""

    nodes_only: bool = False
    """Train only the heads that say what the next nodes are, on lineages alone; pictures stay what they are."""

    def run(self) -> None:
        from gaussian_lens_app.networks.gaussian_vae import VAEConfig

        if self.run_options.release is not None:
            self.run_options.write_release(self.out, "gaussian-vae", VAEConfig())
            return
        self.run_options.limit_threads()
        from gaussian_lens_app.commands.device import ready_rasterizer
        from gaussian_lens_app.lineages.files import make_lineages

        rasterizer = ready_rasterizer("cpu")
        numbers = range(1, self.procedural + 1)
        for path in make_lineages(self.data, numbers, self.captures, self.folds, self.validation_capture, rasterizer):
            print(path.name, flush=True)
        if not self.only_data:
            self.run_options.train("gaussian-vae", self.out, lambda: self._trainee(rasterizer), "cpu")

    def _trainee(self, rasterizer: Rasterizer) -> VAETrainee:
        from gaussian_lens_app.networks.gaussian_vae import GaussianVAE
        from gaussian_lens_app.training.gaussian_vae import VAESettings, VAETrainee
        from gaussian_lens_app.training.lineages import examples

        settings = VAESettings(batch=self.batch, picture=self.picture, seed=self.run_options.seed)
        pictures = self.picture > 0 and not self.nodes_only
        found = examples(
            self.data, self.captures, self.scenes, self.validation_capture, self.rows, rasterizer, pictures
        )
        network = VAETrainee.only_nodes(GaussianVAE()) if self.nodes_only else GaussianVAE()
        return VAETrainee(network, settings, *found, rasterizer)
