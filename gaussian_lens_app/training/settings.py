"""What a training update of GaussianLens looks at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class LensSettings:
    """Samples and passes."""

    data: Path
    """Folder of sample files; may grow during training."""
    single: float = 0.06
    """Part of the training time in which only single passes are trained, later `passes` in a row."""
    passes: int = 3
    """A sample gets one to so many; validation always so many."""
    accumulate: int = 4
    """Samples an update."""
    mask_weight: float = 0.3
    """Of the squared share of Gaussians that exist, for networks that predict existence."""
    validation_samples: int = 32
    grow_every: int = 20
    """Updates after which another procedural scene is made, while there are numbers left."""
    varied: bool = False
    """Samples mirrored, rolled, recoloured and with some photos small (training/variety.py)."""
    seed: int = 0
