"""`gaussian-lens`: a network trained on many scenes sharpens a region in a few passes; `+refine` polishes it."""

from __future__ import annotations

import dataclasses
import itertools
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from gaussian_lens_app.jobs.report import Report, silent, within
from gaussian_lens_app.methods.base import Needs, Scope, Task
from gaussian_lens_app.methods.confirm import confirmed
from gaussian_lens_app.methods.gaussian_lens_features import squared_error
from gaussian_lens_app.methods.gaussian_lens_inputs import LensInputs, pixel_layer
from gaussian_lens_app.methods.gaussian_lens_pass import look_again, prepare, run_tiles
from gaussian_lens_app.methods.glimpses import glimpses_of
from gaussian_lens_app.methods.pixel_gaussians import PixelSettings
from gaussian_lens_app.methods.targets import MARGIN, Target, Windows, check_photos, surroundings, widened, windows_of
from gaussian_lens_app.networks.gaussian_lens import GaussianLens as Network
from gaussian_lens_app.networks.weights import network_with
from gaussian_lens_app.optimize.local import LocalFit, LocalFitSettings, LocalProblem, fit_local
from gaussian_lens_app.scene import Gaussians, Patch

STOP_RANK = 4
"""This photo, counted from the best, is kept out to confirm the result and to stop refining."""


@dataclass(frozen=True)
class LensSettings:
    """What `gaussian-lens` does and how much of it."""

    passes: int = 3
    """Times the network runs, each time on fresh renders; fewer when the seconds run out..."""
    fit_seconds: float = 3.5
    """...or, when refining follows, when no more than these are left: so long fitting gives more than a second pass."""
    photos: int = 4
    """The best photos are looked at; six took half as long again for no gain on the training captures."""
    fit_photos: int = 8
    """Refining fits to so many of them."""
    pixel_photos: int = 2
    """Pixel Gaussians come from so many of them."""
    least_stride: int = 3
    """Photo pixels per pixel Gaussian along each axis, at least; the budget may ask for more."""
    tile: int = 32_000
    """Points the network sees at once, a margin apart."""
    drift: float = 1.0
    """A pass after which the photos' error is more than this times the best so far is undone and ends the passes."""
    prune_opacity: float = 0.01
    """New Gaussians fainter than this are dropped."""
    refine: bool = False
    """Fit the result to the photos in the time that is left."""
    margin: float = MARGIN
    """Fit also to so large a part of a window's sides around it, as `refine` does; the network knows none."""
    confirm: bool = True
    """Leave Gaussians as they were where a photo kept out got worse."""
    exposure: bool = True
    """Match each photo's brightness to the others' first."""
    align: bool = True
    """And each photo's camera to the scene, by the few pixels it is away from there."""
    glimpses: bool = True
    """Look at, and fit to, the photos kept out as small as the scene has seen them."""
    weights: Path | None = None
    """None: the released ones."""
    pixels: PixelSettings = field(default_factory=PixelSettings)
    local: LocalFitSettings = field(default_factory=LocalFitSettings)


@dataclass(frozen=True, eq=False)
class Forward:
    """What the passes of the network gave."""

    gaussians: Gaussians
    passes: int
    errors: tuple[float, ...]
    """Mean squared error on the photos looked at, before each pass and after the last."""
    seconds: dict[str, float]


class GaussianLens:
    """Sharpen a region in a few forward passes."""

    name: ClassVar[str] = "gaussian-lens"
    label: ClassVar[str] = "GaussianLens"
    summary: ClassVar[str] = "A trained network moves and adds Gaussians in a few passes."
    needs: ClassVar[Needs] = Needs.PHOTOS
    scopes: ClassVar[tuple[Scope, ...]] = (Scope.REGION,)
    paced: ClassVar[bool] = True

    def __init__(self, settings: LensSettings | None = None):
        self.settings = settings or LensSettings()

    def __call__(self, task: Task, report: Report) -> Patch:
        deadline = time.monotonic() + task.budget.seconds
        check_photos(task)
        network = self._network(str(task.scene.device))
        report("Reading the photos", 0.0)
        windows, inner = self._windows(task)
        report("Placing pixel Gaussians", 0.1)
        inputs, stride = self._inputs(task, windows, inner)
        if not network.config.pixels:
            inputs = dataclasses.replace(inputs, new=Gaussians.empty(0, task.scene.device))
        end, aside = (0.5, self.settings.fit_seconds) if self.settings.refine else (0.95, 0.0)
        forward = self.passes(task, network, inputs, stride, within(report, 0.15, end), deadline - aside)
        moving, steps = forward.gaussians, 0
        if self.settings.refine and time.monotonic() < deadline:
            fit = self._refined(task, inputs, moving, windows, within(report, end, 0.98), deadline)
            moving, steps = fit.gaussians, fit.steps
        looked_at = windows.fitted if steps else windows.fitted[: self.settings.photos]
        facts = {
            "photos": [window.name for window in looked_at],
            "glimpses": [window.name for window in windows.glimpses],
            "steps": steps,
        }
        parents = _parents(task, inputs, len(moving))
        keep = self._confirmed(task, inputs, moving, parents, windows.stops)
        return self._patch(moving, keep, parents, forward, facts)

    def passes(
        self, task: Task, network: Network, inputs: LensInputs, stride: int, report: Report, deadline: float
    ) -> Forward:
        """The region after the network's passes; the best state on the photos looked at."""
        clock = _Clock()
        state = inputs.union
        if len(state) == 0:
            return Forward(state, 0, (), {})
        prepared = prepare(inputs, stride, task.rasterizer)
        clock.lap("input renders and gradients")
        # After a pass that multiplies Gaussians the next one would multiply them again.
        most = self.settings.passes if network.config.head.factor == 1 else 1
        best, errors, passes = state, [], 0
        with torch.no_grad():
            for number in itertools.count():
                clock.begin_round()
                report(f"Sharpening, pass {number + 1}", number / (most + 1))
                looks = look_again(prepared, state, task.rasterizer)
                clock.lap("renders and gradients")
                errors.append(squared_error(inputs.windows, looks))
                if number and self._drifted(errors):
                    break
                best, passes = state, number
                if number >= most or (number and clock.would_pass(deadline)):
                    break
                state = run_tiles(network, prepared, state, looks, number, self.settings.tile, silent)
                clock.lap("network")
                clock.end_round()
        return Forward(best, passes, tuple(errors), clock.seconds)

    def _drifted(self, errors: list[float]) -> bool:
        """Whether the last pass is to be undone; an error that is no number counts as drift."""
        return not errors[-1] <= self.settings.drift * min(errors[:-1])

    def _network(self, device: str) -> Network:
        network = network_with(self.settings.weights, "gaussian-lens", device)
        assert isinstance(network, Network)
        return network

    def _windows(self, task: Task) -> tuple[Windows, list[Target]]:
        """(windows, what the network sees of those fitted to): when refining follows they are more, with a margin."""
        assert task.capture is not None
        views = list(task.region.views)
        kept = [views.pop(STOP_RANK)] if len(views) > STOP_RANK + 1 else []
        refine, photos = self.settings.refine, task.capture.photos
        views = views[: max(self.settings.photos, self.settings.fit_photos if refine else 0)]
        margin = self.settings.margin if refine else 0.0
        chosen = [*kept, *(widened(view, photos[view.photo].camera, margin) for view in views)]
        glimpses = glimpses_of(task, kept) if self.settings.glimpses else []
        windows = windows_of(task, chosen, glimpses, self.settings.exposure, self.settings.align)
        fitted = windows[len(kept) : len(chosen)]
        inner = [window.cut(view.rect) for window, view in zip(fitted, views, strict=True)]
        return Windows(fitted, windows[: len(kept)], windows[len(chosen) :]), inner

    def _inputs(self, task: Task, windows: Windows, inner: list[Target]) -> tuple[LensInputs, int]:
        """(what the network gets, photo pixels per pixel Gaussian along each axis)."""
        new, stride = pixel_layer(
            inner,
            self.settings.pixel_photos,
            self.settings.least_stride,
            task.budget.gaussians,
            self.settings.pixels,
        )
        selected = task.region.selected
        frozen = surroundings(task.scene, selected, windows.all)
        looked_at = tuple(inner[: self.settings.photos])
        if not self.settings.refine:  # else fitting uses them, and a look at them costs a fifth of a short budget
            looked_at += tuple(windows.glimpses)
        return LensInputs(frozen, task.scene.take(selected), new, looked_at, task.mode), stride

    def _refined(
        self, task: Task, inputs: LensInputs, moving: Gaussians, windows: Windows, report: Report, deadline: float
    ) -> LocalFit:
        """`moving` fitted to the photos for the seconds left."""
        fitted = [*windows.fitted, *windows.glimpses]
        problem = LocalProblem(inputs.frozen, fitted, windows.stops, task.rasterizer, task.mode)
        rates = self.settings.local.within(task.budget.worth_on(task.scene.device).seconds)
        seconds = max(0.05, deadline - time.monotonic())
        return fit_local(problem, moving, rates, report, seconds=seconds, seed=task.seed)

    def _confirmed(
        self, task: Task, inputs: LensInputs, moving: Gaussians, parents: Int[Tensor, "P"], stops: list[Target]
    ) -> Bool[Tensor, "P"]:
        """Which Gaussians go into the patch: no faint new ones, and none that the photos kept out speak against."""
        keep = (moving.opacities.cpu() >= self.settings.prune_opacity) | (parents >= 0)
        if stops and self.settings.confirm:
            keep &= confirmed(inputs.frozen, inputs.old, moving, stops, task.rasterizer, task.mode).cpu()
        return _whole_families(keep, parents)

    def _patch(
        self,
        moving: Gaussians,
        keep: Bool[Tensor, "P"],
        parents: Int[Tensor, "P"],
        forward: Forward,
        facts: dict[str, Any],
    ) -> Patch:
        """Sharpened Gaussians for the selected ones; unconfirmed ones stay as they were."""
        kept = parents[keep]
        provenance = {
            "method": self.name,
            "kind": "learned",
            **facts,
            "passes": forward.passes,
            "errors": list(forward.errors),
            "seconds": forward.seconds,
            "new": int((kept < 0).sum()),
        }
        return Patch(kept[kept >= 0].unique(), moving.take(keep), kept, provenance=provenance)


class GaussianLensRefine(GaussianLens):
    """`gaussian-lens`, then fitting for the rest of the seconds."""

    name = "gaussian-lens+refine"
    label = "GaussianLens + refine"
    summary = "The trained network first, then fitting to the photos for the rest of the time."

    def __init__(self, settings: LensSettings | None = None):
        super().__init__(dataclasses.replace(settings or LensSettings(), refine=True))


def _parents(task: Task, inputs: LensInputs, count: int) -> Int[Tensor, "P"]:
    """Row of the scene each of the network's Gaussians came from, -1 for the pixel layer's; copies stand together."""
    rows = task.region.selected.nonzero()[:, 0].cpu()
    union = torch.cat([rows, torch.full((len(inputs.new),), -1)])
    return union.repeat_interleave(count // max(1, len(union)))


def _whole_families(keep: Bool[Tensor, "P"], parents: Int[Tensor, "P"]) -> Bool[Tensor, "P"]:
    """Copies of one Gaussian are kept or refused together: half of them would be neither the old nor the new."""
    refused = parents[~keep & (parents >= 0)]
    return keep & ~torch.isin(parents, refused)


class _Clock:
    """Seconds by what they were spent on, and whether another round would end in time."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = self._began = time.monotonic()
        self._longest = 0.0

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.seconds[name], self._last = self.seconds.get(name, 0.0) + now - self._last, now

    def begin_round(self) -> None:
        self._began = time.monotonic()

    def end_round(self) -> None:
        self._longest = max(self._longest, time.monotonic() - self._began)

    def would_pass(self, deadline: float) -> bool:
        """Whether this round would end late, if it took as long as the longest so far."""
        return self._began + self._longest > deadline
