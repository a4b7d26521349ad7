"""What an upgrade will cost, said before it starts; it learns from the upgrades that were made."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

from gaussian_lens_app.methods import METHODS, find_method
from gaussian_lens_app.methods.base import Budget
from gaussian_lens_app.methods.refine import RefineSettings
from gaussian_lens_app.scene import Region
from gaussian_lens_app.upgrade import UpgradeResult

ASIDE_SECONDS = 1.5
"""Selecting and judging, before any upgrade was made here."""


@dataclass(frozen=True)
class Estimate:
    """What to expect."""

    seconds: float | None
    """None for a method that does not go by the budget's, before it ran."""
    gaussians: int | None
    """New ones, at most; None where it is not known what is in the box."""


@dataclass
class Experience:
    """What upgrades took so far in this session."""

    numbers: itertools.count = field(default_factory=lambda: itertools.count(1))
    """Of upgrades."""
    _aside: float = ASIDE_SECONDS
    _used: dict[str, float] = field(default_factory=dict)
    """Share of the budget's seconds each method used."""
    _grown: dict[str, float] = field(default_factory=dict)
    """New Gaussians over what was thought possible, for each method."""

    def estimate(self, method: str, region: Region | None, budget: Budget) -> Estimate:
        """For the selected region; None: a box that is kept from before, in a scene that has changed."""
        used = self._used.get(method, 1.0 if _paced(method) else None)
        seconds = None if used is None else self._aside + used * budget.seconds
        if region is None:
            return Estimate(seconds, None)
        return Estimate(seconds, round(self._grown.get(method, 1.0) * most_gaussians(method, region, budget)))

    def learn(self, method: str, result: UpgradeResult, budget: Budget) -> None:
        """Take a finished upgrade into account."""
        seconds, made = result.seconds, len(result.patch.added) - len(result.patch.removed)
        if result.region.selected.all():
            return  # a whole scene says nothing of boxes
        self._aside = sum(value for name, value in seconds.items() if name != "method")
        self._used[method] = seconds.get("method", 0.0) / budget.seconds
        most = most_gaussians(method, result.region, budget)
        if most:
            self._grown[method] = min(1.0, max(0, made) / most)


def _paced(method: str) -> bool:
    """Whether a method goes by the budget's seconds; one that a session was given may."""
    name = method.partition(":")[0]
    return name not in METHODS or getattr(METHODS[name], "paced", False)


def most_gaussians(method: str, region: Region, budget: Budget) -> int:
    """How many Gaussians can be new: one a photo pixel of the method's stride, and no more than the budget."""
    known = method.partition(":")[0] in METHODS  # a session can be given an upgrade of its own, of any name
    settings = getattr(find_method(method), "settings", None) if known else None
    if settings is not None and not getattr(settings, "insert", True):
        return 0
    views = region.views[: getattr(settings, "pixel_photos", 2)]
    pixels = sum(int(view.mask.sum()) for view in views)
    if not views:
        return budget.gaussians
    if isinstance(settings, RefineSettings):
        stride = settings.stride(pixels, budget.worth_on(region.selected.device))
    else:
        stride = max(getattr(settings, "least_stride", 1), math.ceil(math.sqrt(pixels / max(1, budget.gaussians))))
    return min(budget.gaussians, pixels // stride**2)
