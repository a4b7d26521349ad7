"""How GaussianLens is trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class TrainSettings:
    """One training run; a run that was stopped goes on from its last checkpoint."""

    data: Path
    """Folder of sample files; may grow during training."""
    out: Path
    """Folder for checkpoints, the log and its plot."""
    preset: Literal["cpu", "gpu"] = "cpu"
    hours: float = 4.0
    """Training time over which the rate falls to zero, interruptions apart."""
    single_hours: float = 0.25
    """Before that time only single passes are trained, later `passes` in a row."""
    passes: int = 3
    """A sample gets one to so many; validation always so many."""
    rate: float = 1.5e-3
    warm_up: int = 50
    """Updates over which the rate rises."""
    weight_decay: float = 0.01
    accumulate: int = 4
    """Samples an update."""
    clip: float = 1.0
    mask_weight: float = 0.3
    """Of the squared share of Gaussians that exist, for networks that predict existence."""
    average: float = 0.99
    """Decay of the running mean of weights that is validated and released."""
    save_minutes: float = 3.0
    validate_minutes: float = 10.0
    validation_samples: int = 16
    grow_every: int = 20
    """Updates after which another procedural scene is made, while there are numbers left."""
    device: str = "cpu"
    seed: int = 0
