"""`fit-scene`: all Gaussians of a scene fitted to all its photos at once."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from jaxtyping import Bool
from torch import Tensor

from gaussian_lens_app.jobs.report import Report, within
from gaussian_lens_app.methods.base import Needs, Scope, Task
from gaussian_lens_app.methods.glimpses import glimpses_of
from gaussian_lens_app.methods.scene_windows import SceneWindowSettings, scene_windows
from gaussian_lens_app.methods.targets import check_photos
from gaussian_lens_app.optimize.local import LocalFitSettings, LocalProblem, fit_local
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
        mode, windows, small = scene_windows(task, settings.scene, glimpses, within(report, 0.0, 0.05))
        rates = dataclasses.replace(settings.local, steps=settings.rounds * (len(windows) + len(small)))
        facts = {"photos": [one.name for one in windows], "glimpses": [one.name for one in small]}
        patch_of = functools.partial(self._patch, selected, facts)
        problem = LocalProblem(task.scene.take(~selected), [*windows, *small], [], task.rasterizer, mode)
        fit = fit_local(
            problem,
            task.scene.take(selected),
            rates,
            within(report, 0.05, 1.0),
            seconds=max(0.1, deadline - time.monotonic()),
            seed=task.seed,
            watch=_late(rates, lambda moving: task.preview(patch_of(moving))),
        )
        return patch_of(fit.gaussians)

    def _patch(self, selected: Bool[Tensor, "N"], facts: dict[str, Any], fitted: Gaussians) -> Patch:
        rows = selected.nonzero()[:, 0].cpu()
        return Patch(rows, fitted, rows, provenance={"method": self.name, **facts})


def _late(rates: LocalFitSettings, show: Callable[[Gaussians], None]) -> Callable[[Gaussians], None]:
    """`show` for the second half of the steps: while the rates are high the scene looks worse than before."""
    looks = itertools.count(1)

    def watch(moving: Gaussians) -> None:
        if 2 * next(looks) * rates.check_every > rates.steps:
            show(moving)

    return watch
