"""`gsr train plane-sweep`: captures with exact depths, and the network behind `gsr reconstruct --feed-forward`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gaussian_lens_app.commands.train.options import RunOptions

if TYPE_CHECKING:
    from gaussian_lens_app.training.plane_sweep import SweepTrainee


@dataclass(frozen=True)
class TrainPlaneSweep:
    """Train the plane sweep that makes scenes without optimisation (docs/sr3r.md)."""

    run_options: RunOptions = field(default_factory=lambda: RunOptions(rate=2e-3, hours=1.0))
    out: Path = Path(".training/plane-sweep")
    """Folder for checkpoints, log.jsonl and its plot."""

    def run(self) -> None:
        from gaussian_lens_app.networks.plane_sweep import PlaneSweepConfig

        if self.run_options.release is not None:
            self.run_options.write_release(self.out, "plane-sweep", PlaneSweepConfig())
            return
        self.run_options.limit_threads()
        from gaussian_lens_app.commands.device import ready_rasterizer

        rasterizer = ready_rasterizer("cpu")  # its samples are small: it trains on the processor wherever it is
        self.run_options.train("plane-sweep", self.out, lambda: self._trainee(rasterizer), "cpu")

    def _trainee(self, rasterizer) -> SweepTrainee:
        from gaussian_lens_app.networks.plane_sweep import PlaneSweep
        from gaussian_lens_app.training.plane_sweep import SweepSettings, SweepTrainee

        return SweepTrainee(PlaneSweep(), SweepSettings(seed=self.run_options.seed), rasterizer)
