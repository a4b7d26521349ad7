"""`refine`, and its halves `fit-only` and `pixels`: pixel-guided Gaussians, then local fitting to the photos."""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor

from gaussian_lens_app.jobs.report import Report, within
from gaussian_lens_app.methods.base import Budget, Needs, Scope, Task
from gaussian_lens_app.methods.confirm import confirmed
from gaussian_lens_app.methods.glimpses import glimpses_of
from gaussian_lens_app.methods.pixel_gaussians import PixelSettings, pixel_gaussians
from gaussian_lens_app.methods.targets import MARGIN, Target, Windows, check_photos, surroundings, widened, windows_of
from gaussian_lens_app.optimize.local import LocalFitSettings, LocalProblem, fit_local
from gaussian_lens_app.scene import Gaussians, Patch

STOP_RANKS = (4,)
"""Photos kept out of the fit to stop it and to confirm it, counted from the best; never the last one left."""


@dataclass(frozen=True)
class RefineSettings:
    """What `refine` does and how much of it."""

    insert: bool = True
    """Add pixel-guided Gaussians."""
    fit: bool = True
    """Fit selected and new Gaussians to the photos."""
    photos: int = 8
    """Fit to so many of the best photos."""
    pixel_photos: int = 2
    """Take pixel Gaussians from so many of them."""
    least_stride: int = 1
    """Pixels per new Gaussian along each axis, at least; the budget may ask for more."""
    gaussians_per_second: int = 6000
    """The budget's seconds allow so many new Gaussians: more would leave too few steps to fit them."""
    prune_opacity: float = 0.01
    """New Gaussians fainter than this after fitting are dropped."""
    confirm: bool = True
    """Leave as they were those Gaussians where photos kept out of the fit got worse."""
    exposure: bool = True
    """Match each photo's brightness to the scene's first."""
    align: bool = True
    """And each photo's camera to the scene, by the few pixels it is away from there."""
    glimpses: bool = True
    """Fit also to the photos kept out, as small as the scene has seen them."""
    margin: float = MARGIN
    """Look at so large a part of a window's sides around it too: what is there has to stay as it is."""
    pixels: PixelSettings = field(default_factory=PixelSettings)
    local: LocalFitSettings = field(default_factory=LocalFitSettings)

    def stride(self, pixels: int, budget: Budget) -> int:
        """Pixels per new Gaussian along each axis, where `pixels` of the photos show the region."""
        most = (
            min(budget.gaussians, round(self.gaussians_per_second * budget.seconds)) if self.fit else budget.gaussians
        )
        return max(self.least_stride, math.ceil(math.sqrt(pixels / max(1, most))))


class Refine:
    """Sharpen a region from its photos, with no trained network."""

    name: ClassVar[str] = "refine"
    label: ClassVar[str] = "Refine"
    summary: ClassVar[str] = "Adds a Gaussian per photo pixel and fits the region to the photos."
    needs: ClassVar[Needs] = Needs.PHOTOS
    scopes: ClassVar[tuple[Scope, ...]] = (Scope.REGION,)
    paced: ClassVar[bool] = True

    def __init__(self, settings: RefineSettings | None = None):
        self.settings = settings or RefineSettings()

    def __call__(self, task: Task, report: Report) -> Patch:
        deadline = time.monotonic() + task.budget.seconds
        selected = task.region.selected
        check_photos(task)
        report("Reading the photos", 0.0)
        windows = self._windows(task)
        new = self._insert(task, windows.fitted, within(report, 0.05, 0.25))
        old = task.scene.take(selected)
        moving, keep, steps = Gaussians.concat([old, new]), None, 0
        if self.settings.fit:
            moving, keep, steps = self._fit(task, old, new, windows, within(report, 0.25, 0.98), deadline)
        names = {
            "photos": [one.name for one in windows.fitted],
            "glimpses": [one.name for one in windows.glimpses],
        }
        return self._patch(task, old, moving, keep, {**names, "steps": steps})

    def _windows(self, task: Task) -> Windows:
        assert task.capture is not None
        photos = task.capture.photos
        views = [widened(view, photos[view.photo].camera, self.settings.margin) for view in task.region.views]
        kept = [rank for rank in STOP_RANKS if rank < len(views) - 1] if self.settings.fit else []
        fitted = [view for rank, view in enumerate(views) if rank not in kept][: self.settings.photos]
        chosen = [views[rank] for rank in kept] + fitted
        glimpses = (
            glimpses_of(task, [views[rank] for rank in kept]) if self.settings.fit and self.settings.glimpses else []
        )
        windows = windows_of(task, chosen, glimpses, self.settings.exposure, self.settings.align)
        return Windows(windows[len(kept) : len(chosen)], windows[: len(kept)], windows[len(chosen) :])

    def _insert(self, task: Task, targets: list[Target], report: Report) -> Gaussians:
        """Pixel Gaussians from the best photos, as dense as the budget allows."""
        if not self.settings.insert:
            return Gaussians.empty(0, task.scene.device)
        sources = targets[: self.settings.pixel_photos]
        budget = task.budget.worth_on(task.scene.device)
        stride = self.settings.stride(sum(int(target.mask.sum()) for target in sources), budget)
        layers = []
        for index, target in enumerate(sources):
            report("Placing pixel Gaussians", index / len(sources))
            others = [other for other in targets if other is not target]
            layers.append(pixel_gaussians(target, others, stride, self.settings.pixels))
        return Gaussians.concat(layers)

    def _fit(
        self, task: Task, old: Gaussians, new: Gaussians, windows: Windows, report: Report, deadline: float
    ) -> tuple[Gaussians, Bool[Tensor, "M"] | None, int]:
        """(old and new Gaussians fitted, which of them the photos kept out confirm, steps)."""
        frozen, stops = surroundings(task.scene, task.region.selected, windows.all), windows.stops
        fitted = [*windows.fitted, *windows.glimpses]
        problem = LocalProblem(frozen, fitted, stops, task.rasterizer, task.mode)
        rates = self.settings.local.within(task.budget.worth_on(task.scene.device).seconds)
        seconds = max(0.1, deadline - time.monotonic())
        fit = fit_local(problem, Gaussians.concat([old, new]), rates, report, seconds=seconds, seed=task.seed)
        if not stops or not self.settings.confirm:
            return fit.gaussians, None, fit.steps
        return fit.gaussians, confirmed(frozen, old, fit.gaussians, stops, task.rasterizer, task.mode), fit.steps

    def _patch(
        self,
        task: Task,
        old: Gaussians,
        moving: Gaussians,
        keep: Bool[Tensor, "M"] | None,
        facts: dict[str, Any],
    ) -> Patch:
        """Fitted Gaussians for the selected ones; unconfirmed ones stay as they were, faint new ones are dropped."""
        count = len(old)
        keep = torch.ones(len(moving), dtype=torch.bool, device=moving.device) if keep is None else keep.clone()
        if self.settings.fit:
            keep[count:] &= moving.opacities[count:] >= self.settings.prune_opacity
        else:
            keep[:count] = False
        rows = task.region.selected.nonzero()[:, 0].cpu()
        removed = rows[keep[:count].cpu()]
        parents = torch.cat([rows, torch.full((len(moving) - count,), -1)])[keep.cpu()]
        provenance = {"method": self.name, **facts, "new": int(keep[count:].sum())}
        return Patch(removed, moving.take(keep), parents, provenance=provenance)


class FitOnly(Refine):
    """`refine` without new Gaussians."""

    name = "fit-only"
    label = "Fit only"
    summary = "Fits the Gaussians that are there to the photos; adds none."

    def __init__(self, settings: RefineSettings | None = None):
        super().__init__(dataclasses.replace(settings or RefineSettings(), insert=False))


class Pixels(Refine):
    """`refine` without fitting."""

    name = "pixels"
    label = "Pixels"
    summary = "Adds a faint Gaussian per photo pixel, unfitted: instant, a first step."

    def __init__(self, settings: RefineSettings | None = None):
        super().__init__(dataclasses.replace(settings or RefineSettings(), fit=False))
