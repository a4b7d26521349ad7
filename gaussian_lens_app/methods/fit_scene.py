"""`fit-scene`: all Gaussians of a scene fitted to all its photos at once."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field
from typing import ClassVar

import torch

from gaussian_lens_app.jobs.report import Report, within
from gaussian_lens_app.methods.base import Needs, Scope, Task
from gaussian_lens_app.methods.glimpses import glimpses_of
from gaussian_lens_app.methods.scene_windows import SceneWindowSettings, scene_windows
from gaussian_lens_app.methods.targets import check_photos
from gaussian_lens_app.optimize.local import LocalFitSettings, fit_local
from gaussian_lens_app.scene import Gaussians, Patch


@dataclass(frozen=True)
class FitSceneSettings:
    """What is fitted to, and for how long."""

    rounds: int = 40
    """Steps for each photo, one photo a step; fewer when the seconds run out."""
    scene: SceneWindowSettings = field(default_factory=SceneWindowSettings)
    glimpses: bool = True
    """Fit also to the photo kept for the judge, as small as the scene has seen it."""
    local: LocalFitSettings = field(default_factory=lambda: LocalFitSettings(largest_window=1 << 16, check_every=25))
    """Rates, and steps between previews; its steps follow from the rounds."""


class FitScene:
    """Sharpen a whole scene by fitting it to its photos; its Gaussians keep their number.

    Block by block, as methods for boxes go through a scene, each block fits its own photos and its neighbours have to
    live with it; here every photo has a say about all that it shows.
    """

    name: ClassVar[str] = "fit-scene"
    label: ClassVar[str] = "Fit whole scene"
    summary: ClassVar[str] = "Fits the whole scene to all its photos at once; adds no Gaussians."
    needs: ClassVar[Needs] = Needs.PHOTOS
    scopes: ClassVar[tuple[Scope, ...]] = (Scope.SCENE,)

    def __init__(self, settings: FitSceneSettings | None = None):
        self.settings = settings or FitSceneSettings()

    def __call__(self, task: Task, report: Report) -> Patch:
        deadline = time.monotonic() + task.budget.seconds
        check_photos(task)
        settings, selected = self.settings, task.region.selected
        report("Reading the photos", 0.0)
        glimpses = glimpses_of(task, []) if settings.glimpses else []
        mode, windows, small = scene_windows(task, settings.scene, glimpses)
        windows = [*windows, *small]
        steps = dataclasses.replace(settings.local, steps=settings.rounds * len(windows))
        names = [window.name for window in windows]
        fit = fit_local(
            task.scene.take(~selected), task.scene.take(selected), windows, [], task.rasterizer, mode, steps,
            within(report, 0.05, 1.0), seconds=max(0.1, deadline - time.monotonic()), seed=task.seed,
            watch=lambda moving: task.preview(self._patch(selected, moving, names)),
        )  # fmt: skip
        return self._patch(selected, fit.gaussians, names)

    def _patch(self, selected: torch.Tensor, fitted: Gaussians, photos: list[str]) -> Patch:
        rows = selected.nonzero()[:, 0].cpu()
        return Patch(rows, fitted, rows, provenance={"method": self.name, "photos": photos})
