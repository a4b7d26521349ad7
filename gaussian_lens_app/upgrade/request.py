"""What is asked of an upgrade, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gaussian_lens_app.evaluation.judge import Verdict
from gaussian_lens_app.methods import Budget
from gaussian_lens_app.methods.base import unseen
from gaussian_lens_app.raster import ANTIALIASED, Rasterizer, RenderMode
from gaussian_lens_app.scene import Box, Capture, Gaussians, Patch, Region


@dataclass(frozen=True, eq=False)
class UpgradeRequest:
    """What is asked for."""

    scene: Gaussians
    box: Box | None
    """None: the whole scene."""
    capture: Capture | None
    method: str
    rasterizer: Rasterizer
    budget: Budget = field(default_factory=Budget)
    mode: RenderMode = ANTIALIASED
    through: bool = False
    judge: bool = True
    glimpse: bool = True
    """Show fits the photo kept for judging as small as the scene has seen it."""
    seed: int = 0
    region: Region | None = None
    """Already selected (the viewer shows it before the upgrade starts); None: select now."""
    preview: Callable[[Patch], None] = unseen
    """Called with the patch so far when a piece of it is finished."""


@dataclass(frozen=True, eq=False)
class UpgradeResult:
    """What came of it; nothing is applied yet."""

    patch: Patch
    region: Region
    verdict: Verdict
    seconds: dict[str, float]
    """Wall-clock seconds of `select`, `method` and `judge`."""
