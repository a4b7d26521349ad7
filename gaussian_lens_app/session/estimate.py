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
ALIKE = 1.5
"""A scene of so many times as many Gaussians, or as few, takes about as long as a whole."""


@dataclass(frozen=True)
class Estimate:
    """What to expect."""

    seconds: float | None
    """None before it ran, for a method that does not go by the budget's, and for whole scenes."""
    gaussians: int | None
    """New ones, at most; None where it is not known what is in the box."""


@dataclass
class Experience:
    """What upgrades took so far in this session."""

    numbers: itertools.count = field(default_factory=lambda: itertools.count(1))
    """Of upgrades."""
    _aside: float = ASIDE_SECONDS
    _took: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Seconds each method took on its last box, and those of its budget."""
    _whole: dict[str, tuple[float, int]] = field(default_factory=dict)
    """Seconds of each method's last upgrade of the whole scene, all told, and of how many Gaussians."""
    _grown: dict[str, float] = field(default_factory=dict)
    """New Gaussians over what was thought possible, for each method."""

    def estimate(self, method: str, region: Region | None, budget: Budget) -> Estimate:
        """For the selected region; None: a box that is kept from before, in a scene that has changed."""
        own = self._own_seconds(method, budget)
        seconds = None if own is None else self._aside + own
        if region is None:
            return Estimate(seconds, None)
        return Estimate(seconds, round(self._grown.get(method, 1.0) * most_gaussians(method, region, budget)))

    def estimate_whole(self, method: str, gaussians: int) -> Estimate:
        """For the whole scene, of so many Gaussians now: what the last time took, where it had about as many."""
        seconds, then = self._whole.get(method, (None, 0))
        return Estimate(seconds if then / ALIKE <= gaussians <= then * ALIKE else None, None)

    def _own_seconds(self, method: str, budget: Budget) -> float | None:
        """Of the method itself: its share of a budget that it goes by, else what its last box took."""
        if method not in self._took:
            return budget.seconds if _paced(method) else None
        seconds, given = self._took[method]
        return seconds * budget.seconds / given if _paced(method) else seconds

    def learn(self, method: str, result: UpgradeResult, budget: Budget, whole: bool = False) -> None:
        """Take a finished upgrade, of a box or of the `whole` scene, into account."""
        seconds, made = result.seconds, len(result.patch.added) - len(result.patch.removed)
        if whole:
            self._whole[method] = (sum(seconds.values()), len(result.region.selected))
            return  # it says nothing of boxes
        self._aside = sum(value for name, value in seconds.items() if name != "method")
        self._took[method] = (seconds.get("method", 0.0), budget.seconds)
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
