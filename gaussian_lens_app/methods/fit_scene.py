"""`fit-scene`: a whole scene fitted to all its photos at once, with more Gaussians where the photos ask for them."""

from __future__ import annotations

import dataclasses
import functools
import time
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from gaussian_lens_app.jobs.report import Report, silent, within
from gaussian_lens_app.methods.base import Needs, Scope, Task
from gaussian_lens_app.methods.glimpses import glimpses_of, new_to_see, seen_mode
from gaussian_lens_app.methods.scene_windows import SceneWindowSettings, scene_windows, shrunk_to
from gaussian_lens_app.methods.targets import check_photos
from gaussian_lens_app.methods.view_gradients import window_scores
from gaussian_lens_app.networks.children import halved
from gaussian_lens_app.optimize.local import LocalFitSettings, LocalProblem, fit_local, second_half
from gaussian_lens_app.scene import Gaussians, Patch
from gaussian_lens_app.select.veils import veils


@dataclass(frozen=True)
class FitSceneSettings:
    """What is fitted to, and for how long."""

    rounds: int = 40
    """Steps for each photo, one photo a step; fewer when the seconds run out..."""
    most_steps_for: int = 24
    """...and where there are more photos than these: all have their say in as many steps as these would take."""
    growth: float = 0.4
    """Before that so large a part of the Gaussians, those that the photos pull most, become two, no more than the
    budget allows, where the photos are larger than those that the scene was made from. (After some rounds instead they
    gained no more.)"""
    clear: bool = True
    """Take away what hangs before the cameras and no photo shows (select/veils.py)."""
    scene: SceneWindowSettings = field(default_factory=lambda: SceneWindowSettings(most_photos=64))
    """More photos than other methods look at: what none of them shows would be forgotten."""
    glimpses: bool = True
    """Fit also to the photo kept for the judge, as small as the scene has seen it."""
    local: LocalFitSettings = field(default_factory=lambda: LocalFitSettings(largest_window=1 << 16, check_every=25))
    """Rates, and steps between previews; its steps follow from the rounds."""


class FitScene:
    """Sharpen a whole scene by fitting it to its photos.

    Block by block, as methods for boxes go through a scene, each block fits its own photos and its neighbours have to
    live with it; here every photo has a say about all that it shows.
    """

    name: ClassVar[str] = "fit-scene"
    label: ClassVar[str] = "Fit whole scene"
    summary: ClassVar[str] = "Fits the whole scene to all its photos at once, finer where they ask for it."
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
        shrunk = shrunk_to(task, settings.scene.long_side)
        looked_at = dataclasses.replace(task, mode=seen_mode(task.mode, task.scene, task.region, shrunk))
        mode, windows, small = scene_windows(looked_at, settings.scene, glimpses, within(report, 0.0, 0.05))
        problem = LocalProblem(task.scene.take(~selected), [*windows, *small], [], task.rasterizer, mode)
        chosen = self._cleared(task, within(report, 0.05, 0.07))
        start, origins = self._grown(task, task.scene.take(chosen), problem, within(report, 0.07, 0.1))
        facts = {
            "photos": [one.name for one in windows],
            "glimpses": [one.name for one in small],
            "veils": int((selected & ~chosen).sum()),
        }
        patch_of = functools.partial(
            self._patch, selected.nonzero()[:, 0].cpu(), chosen.nonzero()[origins, 0].cpu(), facts
        )
        steps = settings.rounds * min(len(problem.windows), settings.most_steps_for)
        rates = dataclasses.replace(settings.local, steps=steps)
        fit = fit_local(
            problem,
            start,
            rates,
            within(report, 0.1, 1.0),
            seconds=max(0.1, deadline - time.monotonic()),
            seed=task.seed,
            watch=second_half(rates, lambda moving: task.preview(patch_of(moving))),
        )
        return patch_of(fit.gaussians)

    def _cleared(self, task: Task, report: Report) -> Bool[Tensor, "N"]:
        """The selected Gaussians less the veils among them."""
        assert task.capture is not None
        if not self.settings.clear:
            return task.region.selected
        return task.region.selected & ~veils(task.scene, task.capture, task.rasterizer, task.mode, report)

    def _grown(
        self, task: Task, start: Gaussians, problem: LocalProblem, report: Report
    ) -> tuple[Gaussians, Int[Tensor, "M"]]:
        """(what is fitted, which row of `start` each is or comes from)."""
        most = min(int(self.settings.growth * len(start)), task.budget.gaussians) if self._new_to_see(task) else 0
        return grown(start, problem, most, report)

    def _new_to_see(self, task: Task) -> bool:
        """Whether the photos, in the size looked at, are larger than those that the scene was made from."""
        return new_to_see(task.scene, task.region, shrunk_to(task, self.settings.scene.long_side))

    def _patch(
        self, rows: Int[Tensor, "N"], parents: Int[Tensor, "M"], facts: dict[str, Any], fitted: Gaussians
    ) -> Patch:
        return Patch(rows, fitted, parents, provenance={"method": self.name, **facts})


def grown(
    moving: Gaussians, problem: LocalProblem, count: int, report: Report = silent
) -> tuple[Gaussians, Int[Tensor, "M"]]:
    """(`moving` with the `count` Gaussians that the windows pull most, halved, which row each was or comes from).

    The pull is 3DGS's view-space gradient, absolute over pixels (AbsGS, Ye et al. 2024), summed over the windows.
    """
    if count == 0:
        return moving, torch.arange(len(moving), device=moving.device)
    scene, still = Gaussians.concat([problem.frozen, moving]), len(problem.frozen)
    pull = window_scores(scene, problem.windows, problem.rasterizer, problem.mode, report=report)[still:]
    divided = torch.zeros(len(moving), dtype=torch.bool, device=moving.device)
    divided[pull.topk(count).indices] = True
    kept, parents = (~divided).nonzero()[:, 0], divided.nonzero()[:, 0]
    both = Gaussians.concat([moving.take(kept), halved(moving.take(parents))])
    return both, torch.cat([kept, parents.repeat_interleave(2)])
