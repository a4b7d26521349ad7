"""Fit some Gaussians to windows of photos while the rest of the scene stands still."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.jobs.report import Report
from gaussian_lens_app.raster import Rasterizer, RenderMode
from gaussian_lens_app.raster.compare import squared_errors
from gaussian_lens_app.scene import Camera, Gaussians, Rect


class Window(Protocol):
    """What is fitted to: a window of a photo."""

    @property
    def camera(self) -> Camera: ...
    @property
    def rect(self) -> Rect: ...
    @property
    def photo(self) -> Float[Tensor, "h w 3"]: ...
    @property
    def mask(self) -> Bool[Tensor, "h w"]: ...


@dataclass(frozen=True, eq=False)
class LocalProblem:
    """What some Gaussians are fitted to, and what they are drawn with."""

    frozen: Gaussians
    """The rest of the scene, which stands still."""
    windows: Sequence[Window]
    """What is fitted to, one a step."""
    stops: Sequence[Window]
    """Windows of photos kept out of the fit, which stop it early; there may be none."""
    rasterizer: Rasterizer
    mode: RenderMode


@dataclass(frozen=True)
class LocalFitSettings:
    """Steps and rates. Lengths are in units of each Gaussian's own size, so any scene unit will do."""

    steps: int = 300
    """At most; see `within`."""
    steps_per_second: int = 20
    """Steps that a second is worth: what two CPU cores do with a box of a quarter of a photo's side."""
    largest_window: int = 384
    """A step fits at most so many pixels a side, a random part of the photo's window."""
    ring_weight: float = 0.3
    """Weight of pixels outside the mask: they hold the surroundings in place."""
    outlier: float = 0.05
    """Differences (0..1) beyond this count linearly, not squared: a photo that disagrees with the others pulls less."""
    means: float = 0.05
    log_scales: float = 0.04
    quats: float = 0.02
    logit_opacities: float = 0.05
    sh0: float = 0.02
    shN: float = 0.002
    check_every: int = 10
    """Steps between looks at the photos kept out of the fit."""
    patience: float = 0.6
    """This part of the steps without improvement, and at least three looks, end the fit."""
    final_rate: float = 0.1
    """The rates fall along a cosine to this part."""

    def within(self, seconds: float) -> LocalFitSettings:
        """With no more steps than the seconds are worth, so that the rates have fallen when they are over."""
        return dataclasses.replace(self, steps=max(1, round(min(self.steps, self.steps_per_second * seconds))))


@dataclass(frozen=True, eq=False)
class LocalFit:
    """What came of it."""

    gaussians: Gaussians
    steps: int
    """Steps of the state returned: the best on the photos kept out."""
    stop_errors: tuple[float, ...]
    """Mean squared error on the photos kept out, at the start and at each look; empty without any."""


def fit_local(
    problem: LocalProblem,
    start: Gaussians,
    settings: LocalFitSettings,
    report: Report,
    *,
    seconds: float = math.inf,
    seed: int = 0,
    watch: Callable[[Gaussians], None] | None = None,
) -> LocalFit:
    """`start` fitted to the windows by Adam, one window a step, stopped early by photos kept out (`stops`).

    The rendered scene is `frozen` + `start`; only the latter moves. Reports after every step; `watch` gets a copy of
    what moves with every look at the photos kept out.
    """
    rates, schedule, best = _Rates(start, settings), _Schedule(settings.steps, seconds), _Best(problem)
    generator = torch.Generator().manual_seed(seed)
    best.look(0, start)
    current, done = start, 0
    for step in range(settings.steps):
        if schedule.over() or best.stale(max(3, settings.patience * settings.steps / settings.check_every)):
            break
        window = problem.windows[step % len(problem.windows)]
        part = _part(window.rect, window.mask, settings.largest_window, generator)
        rates.set(settings.final_rate + (1 - settings.final_rate) * schedule.cosine(step))
        rates.step(_loss(problem, rates.leaves(), window, part, settings))
        current, done = rates.gaussians(), step + 1
        if done % settings.check_every == 0:
            best.look(done, current)
            if watch is not None:
                watch(_copy(current))
        report("Fitting to the photos", schedule.fraction(done))
    if done % settings.check_every:
        best.look(done, current)  # the last steps are those of the lowest rates
    return best.result(current, done)


def second_half(rates: LocalFitSettings, show: Callable[[Gaussians], None]) -> Callable[[Gaussians], None]:
    """`show` as what watches a fit, for the second half of the steps: while the rates are high the scene looks worse
    than before."""
    looks = itertools.count(1)

    def watch(moving: Gaussians) -> None:
        if 2 * next(looks) * rates.check_every > rates.steps:
            show(moving)

    return watch


def _loss(problem: LocalProblem, moving: Gaussians, window: Window, part: Rect, settings: LocalFitSettings) -> Tensor:
    """Weighted mean over a part of a photo of half the squared error, linear beyond `outlier` (Huber)."""
    frozen = problem.frozen
    trainable = torch.arange(len(frozen) + len(moving), device=moving.device) >= len(frozen)
    scene = Gaussians.concat([frozen, moving])
    render = problem.rasterizer.render(scene, window.camera, mode=problem.mode, crop=part, trainable=trainable)
    x0, y0 = window.rect[:2]
    inside = (slice(part[1] - y0, part[3] - y0), slice(part[0] - x0, part[2] - x0))
    weight = torch.where(window.mask[inside], 1.0, settings.ring_weight)
    losses = F.huber_loss(render.rgb, window.photo[inside], reduction="none", delta=settings.outlier)
    return (weight[..., None] * losses).sum() / (3 * weight.sum())


def _part(rect: Rect, mask: Tensor, largest: int, generator: torch.Generator) -> Rect:
    """A window of at most `largest` pixels a side, centred near a random masked pixel."""
    x0, y0, x1, y1 = rect
    if x1 - x0 <= largest and y1 - y0 <= largest:
        return rect
    rows, columns = mask.nonzero(as_tuple=True)
    pick = int(torch.randint(len(rows), (), generator=generator))
    left = min(max(x0, x0 + int(columns[pick]) - largest // 2), max(x0, x1 - largest))
    top = min(max(y0, y0 + int(rows[pick]) - largest // 2), max(y0, y1 - largest))
    return (left, top, min(x1, left + largest), min(y1, top + largest))


class _Rates:
    """Adam over the fields of Gaussians; means move in units of each Gaussian's own mean size."""

    def __init__(self, start: Gaussians, settings: LocalFitSettings):
        self.origin = start.means
        self.size = start.log_scales.mean(-1, keepdim=True).exp()
        fields = {name: tensor.detach().clone() for name, tensor in start.tensors()}
        fields["means"] = torch.zeros_like(start.means)
        self.fields = {name: tensor.requires_grad_() for name, tensor in fields.items()}
        self.base = [getattr(settings, name) for name in self.fields]
        groups = [
            {"params": [tensor], "lr": rate} for tensor, rate in zip(self.fields.values(), self.base, strict=True)
        ]
        self.adam = torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-15)

    def leaves(self) -> Gaussians:
        return Gaussians(**{**self.fields, "means": self.origin + self.size * self.fields["means"]})

    def gaussians(self) -> Gaussians:
        return self.leaves().detach()

    def set(self, factor: float) -> None:
        for group, rate in zip(self.adam.param_groups, self.base, strict=True):
            group["lr"] = rate * factor

    def step(self, loss: Tensor) -> None:
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        self.adam.step()


TIME_LEAD = 0.15
"""Seconds count for the rates when the clock is ahead of the steps by so much of the whole."""


class _Schedule:
    """Steps or seconds, whichever ends first."""

    def __init__(self, steps: int, seconds: float):
        self.steps, self.seconds, self.began = steps, seconds, time.monotonic()

    def fraction(self, step: int) -> float:
        return min(1.0, max(step / self.steps, (time.monotonic() - self.began) / self.seconds))

    def over(self) -> bool:
        return time.monotonic() - self.began >= self.seconds

    def cosine(self, step: int) -> float:
        """1 falling to 0; by steps, so that results repeat, unless the seconds are clearly what will end the fit."""
        done, spent = step / self.steps, (time.monotonic() - self.began) / self.seconds
        return 0.5 * (1 + math.cos(math.pi * min(1.0, spent if spent > done + TIME_LEAD else done)))


class _Best:
    """The state that does best on the photos kept out of the fit; the last state where there are none."""

    def __init__(self, problem: LocalProblem):
        self.problem = problem
        self.errors: list[float] = []
        self.best: tuple[int, Gaussians] | None = None

    def look(self, step: int, gaussians: Gaussians) -> None:
        problem = self.problem
        if not problem.stops:
            return
        scene = Gaussians.concat([problem.frozen, gaussians])
        errors = [window_error(scene, stop, problem.rasterizer, problem.mode) for stop in problem.stops]
        error = sum(errors) / len(errors)
        if not self.errors or error < min(self.errors):
            self.best = (step, _copy(gaussians))
        self.errors.append(error)

    def stale(self, patience: float) -> bool:
        return len(self.errors) - 1 - (self.errors.index(min(self.errors)) if self.errors else 0) >= patience

    def result(self, last: Gaussians, steps: int) -> LocalFit:
        step, gaussians = self.best if self.best is not None else (steps, last)
        return LocalFit(gaussians, step, tuple(self.errors))


def _copy(gaussians: Gaussians) -> Gaussians:
    """The optimiser changes its own in place."""
    return Gaussians(**{name: tensor.clone() for name, tensor in gaussians.tensors()})


def window_error(scene: Gaussians, window: Window, rasterizer: Rasterizer, mode: RenderMode) -> float:
    """Mean squared error in the masked pixels of a window."""
    return float(squared_errors(scene, window.camera, window.rect, window.photo, rasterizer, mode)[window.mask].mean())


def touching(scene: Gaussians, camera: Camera, rect: Rect) -> Bool[Tensor, "N"]:
    """Gaussians that may show in a window of a camera (3.5 standard deviations, never too few)."""
    x0, y0, x1, y1 = rect
    pixels, depths = camera.project(scene.means)
    focal = torch.maximum(camera.K[0, 0], camera.K[1, 1])
    radius = 3.5 * scene.log_scales.max(-1).values.exp() * focal / depths.clamp_min(1e-6) * 1.5 + 4
    x, y = pixels.unbind(-1)
    return (depths > 0) & (x > x0 - radius) & (x < x1 + radius) & (y > y0 - radius) & (y < y1 + radius)
