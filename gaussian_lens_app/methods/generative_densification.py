"""`generative-densification`: a trained network replaces the Gaussians that the photos pull most by finer ones.

What it made is then fitted to the photos for a few rounds, all else standing still: an addition to the paper.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gaussian_lens_app.jobs.report import Report, within
from gaussian_lens_app.methods.base import Needs, Scope, Task
from gaussian_lens_app.methods.confirm import NEGLIGIBLE, change_of_error
from gaussian_lens_app.methods.densification_pass import STRIDE, Fine, densified, regrown, settled
from gaussian_lens_app.methods.gaussian_lens_features import Look, look, squared_error
from gaussian_lens_app.methods.gaussian_lens_inputs import LensInputs, footprints
from gaussian_lens_app.methods.gaussian_lens_pass import Prepared, prepare
from gaussian_lens_app.methods.glimpses import as_it_is, glimpses_of, seen_mode
from gaussian_lens_app.methods.scene_windows import SceneWindowSettings, scene_windows, shrunk_to, spread
from gaussian_lens_app.methods.targets import Target, Windows, check_photos, surroundings, windows_of
from gaussian_lens_app.methods.view_gradients import window_scores
from gaussian_lens_app.networks.generative_densification import GenerativeDensification as Network
from gaussian_lens_app.networks.weights import network_with
from gaussian_lens_app.optimize.local import LocalFit, LocalFitSettings, LocalProblem, fit_local
from gaussian_lens_app.raster import RenderMode
from gaussian_lens_app.scene import Gaussians, Patch, PhotoView

Choice = Literal["gradient", "plain-gradient", "random"]


@dataclass(frozen=True)
class DensificationSettings:
    """What is densified and how much."""

    most: int = 12_000
    """At most so many Gaussians are densified (the paper's K)."""
    share: float = 0.7
    """Part of the first layer's children that goes on to the second (the paper's P); the learned mask says which."""
    growth: float = 2.0
    """A whole scene gets at most so many times its Gaussians; a box may get as many as the budget allows."""
    choose: Choice = "gradient"
    """By the absolute view-space gradient (AbsGS), the plain one, or at random, to compare."""
    photos: int = 8
    """Photos that a tile, or a box, is looked at in; gradients of whole scenes come from all of `scene.most_photos`."""
    scene: SceneWindowSettings = field(default_factory=SceneWindowSettings)
    """Photos of whole scenes."""
    least_opacity: float = 0.005
    """Fainter Gaussians are left alone."""
    largest: float = 70.0
    """So are those with a standard deviation of more photo pixels than that: training has hardly any."""
    tile: int = 3000
    """Coarse Gaussians the network sees at once, a margin apart; eight times as many when they settle."""
    settle: bool = False
    """Let the network look at the fine Gaussians once more and correct them; fitting them does as much."""
    fit_rounds: int = 10
    """Then fit them so many steps for each photo, one photo a step; 0: the forward pass alone."""
    local: LocalFitSettings = field(default_factory=lambda: LocalFitSettings(largest_window=1 << 16, check_every=25))
    """Rates of that; its steps follow from the rounds."""
    confirm_every: int = 6
    """Every so many photos one is kept out; families of Gaussians that it says got worse stay as they were. 0: none."""
    exposure: bool = True
    """In a box, match each photo's brightness to the others' first."""
    weights: Path | None = None
    """None: the released ones."""


class GenerativeDensification:
    """Finer Gaussians where the scene is too coarse for its photos; it finds the places by itself."""

    name: ClassVar[str] = "generative-densification"
    label: ClassVar[str] = "Generative Densification"
    summary: ClassVar[str] = "A trained network finds what is too coarse, makes it finer, and fits that."
    needs: ClassVar[Needs] = Needs.PHOTOS
    scopes: ClassVar[tuple[Scope, ...]] = (Scope.REGION, Scope.SCENE)

    def __init__(self, settings: DensificationSettings | None = None):
        self.settings = settings or DensificationSettings()

    def __call__(self, task: Task, report: Report) -> Patch:
        clock, deadline = _Clock(), time.monotonic() + task.budget.seconds
        check_photos(task)
        network = self._network(str(task.scene.device))
        report("Reading the photos", 0.0)
        mode, seen = self._windows(task, within(report, 0.0, 0.05))
        windows, stops = seen.fitted, seen.stops
        clock.lap("photos")
        scores = self._scores(task, windows, mode, within(report, 0.05, 0.2))
        rows = self._chosen(task, scores)
        clock.lap("choosing")
        looks, prepared = self._looks(task, rows, seen, mode, within(report, 0.2, 0.35))
        clock.lap("renders and gradients")
        with torch.no_grad():
            fine, errors = self._grown(task, network, prepared, looks, rows, clock, within(report, 0.35, 0.6))
        steps = 0
        if self.settings.fit_rounds and len(rows):
            fit = self._fitted(task, prepared.inputs, fine.gaussians, seen, within(report, 0.6, 0.95), deadline)
            fine, steps = dataclasses.replace(fine, gaussians=fit.gaussians), fit.steps
            clock.lap("fitting")
        with torch.no_grad():
            report("Confirming", 0.95)
            keep = self._kept(task, prepared.inputs, fine, stops, mode)
        clock.lap("confirming")
        facts = {
            "photos": [window.name for window in windows],
            "glimpses": [window.name for window in seen.glimpses] if self.settings.fit_rounds else [],
            "chosen": len(rows),
            "kept": int(keep.sum()),
            "share": self.settings.share,
            "errors": errors,
            "steps": steps,
            "seconds": clock.seconds,
            "processor_seconds": clock.processor,
        }
        return self._patch(rows, fine, keep, facts)

    def _network(self, device: str) -> Network:
        loaded = network_with(self.settings.weights, self.name, device)
        assert isinstance(loaded, Network)
        return loaded

    def _windows(self, task: Task, report: Report) -> tuple[RenderMode, Windows]:
        """(mode at the windows' size, photos looked at, photos kept out to confirm, glimpses of these for fitting)."""
        settings, whole = self.settings, task.box is None
        shrunk = shrunk_to(task, settings.scene.long_side) if whole else as_it_is
        mode = seen_mode(task.mode, task.scene, task.region, shrunk)
        task = dataclasses.replace(task, mode=mode)
        views = spread(task.region.views, settings.scene.most_photos) if whole else task.region.views
        views = views if whole else views[: settings.photos + 1]
        kept = self._kept_out(views)
        glimpses = glimpses_of(task, kept)
        if whole:
            mode, targets, small = scene_windows(task, settings.scene, glimpses, report)
        else:
            targets = windows_of(task, views, glimpses, exposure=settings.exposure)
            targets, small = targets[: len(views)], targets[len(views) :]
        assert task.capture is not None
        names = {task.capture.photos[view.photo].name for view in kept}
        stops = [target for target in targets if target.name in names]
        return mode, Windows([target for target in targets if target.name not in names], stops, small)

    def _kept_out(self, views: Sequence[PhotoView]) -> list[PhotoView]:
        """One in so many photos, where there are as many."""
        every = self.settings.confirm_every
        return list(views[every // 2 :: every]) if 0 < every <= len(views) else []

    def _scores(self, task: Task, windows: Sequence[Target], mode: RenderMode, report: Report) -> Float[Tensor, "N"]:
        """What the choice goes by; 0 for Gaussians outside the region, too faint, or seen by no photo."""
        scene, absolute = task.scene, self.settings.choose != "plain-gradient"
        total = window_scores(scene, windows, task.rasterizer, mode, absolute, report)
        free = task.region.selected & (scene.opacities > self.settings.least_opacity) & (total > 0)
        free &= scene.scales.amax(1) < self.settings.largest * footprints(scene.means, windows)
        if self.settings.choose == "random":
            total = torch.rand(len(scene), generator=torch.Generator().manual_seed(task.seed)).to(total) + 1e-6
        return total * free

    def _chosen(self, task: Task, scores: Float[Tensor, "N"]) -> Int[Tensor, "K"]:
        """Rows with the highest scores, ascending: as many as the settings and the budget allow."""
        settings = self.settings
        each = children_of_each(settings.share) - 1
        room = task.budget.gaussians / each
        if task.box is None:
            room = min(room, (settings.growth - 1) * len(task.scene) / each)
        count = min(settings.most, int(room), int((scores > 0).sum()))
        return scores.argsort(descending=True, stable=True)[:count].sort().values

    def _looks(
        self, task: Task, rows: Int[Tensor, "K"], seen: Windows, mode: RenderMode, report: Report
    ) -> tuple[list[Look], Prepared]:
        """Renders and gradients of the chosen Gaussians, all others frozen."""
        chosen = torch.zeros(len(task.scene), dtype=torch.bool, device=task.scene.device)
        chosen[rows] = True
        frozen = surroundings(task.scene, chosen, seen.all)
        nothing = Gaussians.empty(task.scene.sh_degree, task.scene.device)
        inputs = LensInputs(frozen, task.scene.take(rows), nothing, tuple(seen.fitted), mode)
        looks: list[Look] = []
        for index, window in enumerate(seen.fitted):
            report("Comparing with the photos", index / len(seen.fitted))
            looks.append(look(frozen, inputs.old, window, task.rasterizer, mode))
        return looks, prepare(inputs, STRIDE, task.rasterizer, looks)

    def _grown(self, task: Task, network: Network, prepared, looks, rows, clock, report: Report):
        """(fine Gaussians, mean squared errors on the photos: of the input, densified, settled)."""
        settings, windows = self.settings, prepared.inputs.windows
        errors = [squared_error(windows, looks)]

        def finished(part: Fine) -> None:
            every = torch.ones(len(rows), dtype=torch.bool, device=part.ancestors.device)
            task.preview(self._patch(rows, part, every, {}))

        fine = densified(
            network, prepared, looks, settings.share, settings.tile, settings.photos, within(report, 0, 0.5), finished
        )
        clock.lap("network")
        if settings.settle:
            report("Looking at the result", 0.5)
            again, looks = regrown(prepared, fine.gaussians, fine.ancestors, task.rasterizer)
            errors.append(squared_error(windows, looks))
            clock.lap("renders and gradients")
            moved = settled(network, again, looks, 8 * settings.tile, settings.photos, within(report, 0.7, 1))
            fine = dataclasses.replace(fine, gaussians=moved)
            clock.lap("network")
        return fine, errors

    def _fitted(
        self, task: Task, inputs: LensInputs, fine: Gaussians, seen: Windows, report: Report, deadline: float
    ) -> LocalFit:
        """The fine Gaussians fitted to the photos, in the state that the photos kept out like best."""
        windows = [*seen.fitted, *seen.glimpses]
        problem = LocalProblem(inputs.frozen, windows, seen.stops, task.rasterizer, inputs.mode)
        rates = dataclasses.replace(self.settings.local, steps=self.settings.fit_rounds * len(windows))
        seconds = max(0.1, deadline - time.monotonic())
        return fit_local(problem, fine, rates, report, seconds=seconds, seed=task.seed)

    def _kept(
        self, task: Task, inputs: LensInputs, fine: Fine, stops: Sequence[Target], mode: RenderMode
    ) -> Bool[Tensor, "K"]:
        """Which coarse Gaussians are replaced: those whose families the photos kept out do not object to, neither where
        the old one showed nor where the new ones do."""
        keep = torch.ones(len(inputs.old), dtype=torch.bool, device=task.scene.device)
        if stops:
            both = change_of_error(inputs.frozen, inputs.old, fine.gaussians, stops, task.rasterizer, mode)
            (before, seen_before), (after, seen_after) = both
            families = torch.zeros(len(keep), 2, device=keep.device)
            families.index_add_(0, fine.ancestors, torch.stack([after, seen_after], -1))
            keep = (before <= NEGLIGIBLE * seen_before) & (families[:, 0] <= NEGLIGIBLE * families[:, 1])
        return keep

    def _patch(self, rows: Int[Tensor, "K"], fine: Fine, keep: Bool[Tensor, "K"], facts: dict[str, Any]) -> Patch:
        """The families that are kept, in the place of their ancestors."""
        there = keep[fine.ancestors]
        parents = rows[fine.ancestors[there]]
        provenance = {"method": self.name, "kind": "learned", **facts}
        return Patch(parents.unique().cpu(), fine.gaussians.take(there), parents.cpu(), provenance=provenance)


def children_of_each(share: float, factors: Sequence[int] = (2, 4)) -> float:
    """How many fine Gaussians each coarse one becomes on average when `share` of a layer's go on to the next."""
    total, alive = 0.0, 1.0
    for number, factor in enumerate(factors):
        alive *= factor
        going = share * alive if number + 1 < len(factors) else 0.0
        total, alive = total + alive - going, going
    return total


class _Clock:
    """Seconds by what they were spent on, by the clock and of the processor."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.processor: dict[str, float] = {}
        self.last = time.monotonic(), time.process_time()

    def lap(self, name: str) -> None:
        now = time.monotonic(), time.process_time()
        for total, end, start in zip((self.seconds, self.processor), now, self.last, strict=True):
            total[name] = total.get(name, 0.0) + end - start
        self.last = now
