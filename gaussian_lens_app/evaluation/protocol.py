"""The region benchmark: every method on the same boxes of photos that nobody used, before and after.

The methods come in through one seam (`Upgrader`), because they stand above this folder; `benchmark.py` puts the
product's own there, tests put a fake.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.errors import MethodError
from gaussian_lens_app.evaluation.boxes import boxes_at, choose_boxes
from gaussian_lens_app.evaluation.judge import Verdict
from gaussian_lens_app.evaluation.memory import forget_peak, peak_mb
from gaussian_lens_app.evaluation.metrics import Comparison, gradient_energy
from gaussian_lens_app.evaluation.rows import Row, measured
from gaussian_lens_app.jobs.report import Report, within
from gaussian_lens_app.methods.base import Budget
from gaussian_lens_app.raster import Rasterizer, RenderMode
from gaussian_lens_app.scene import Box, Camera, Capture, Gaussians, Patch, Photo, Rect

INPUT, BAND_LIMITED, FULL = "input", "band-limited", "full"
"""Methods that are no upgrade: the scene as it is, its band-limited form from which upgrades start, and the whole scene
optimised."""


class Outcome(Protocol):
    """What an upgrade gives back."""

    @property
    def patch(self) -> Patch: ...
    @property
    def verdict(self) -> Verdict: ...
    @property
    def seconds(self) -> dict[str, float]: ...


Upgrader = Callable[["Trial", Report], Outcome]


@dataclass(frozen=True, eq=False)
class Trial:
    """What a method may see: no test photo is among it, only the camera the user stands at."""

    scene: Gaussians
    box: Box | None
    """None: the whole scene."""
    context: Capture
    method: str
    budget: Budget
    mode: RenderMode
    rasterizer: Rasterizer
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Benchmark:
    """Everything that is fixed during a run."""

    scene: Gaussians
    """The input."""
    context: Capture
    test: Capture
    rasterizer: Rasterizer
    render_mode: str
    mode: RenderMode
    """In which the input looks best."""
    start: Gaussians
    """What upgrades start from: the input, band-limited where that mode is not the plain one."""
    start_mode: RenderMode
    """In which `start` and all that comes of it is drawn."""
    upgrade: Upgrader
    budget: Budget
    boxes: int = 3
    places: tuple[tuple[float, float], ...] = ()
    """Centres of the boxes in parts of a photo's sides, instead of `boxes` chosen ones."""
    whole: bool = False
    low_long_side: int = 400
    seed: int = 0
    full: Gaussians | None = None
    """The ceiling, where it is asked for."""
    keep: Callable[[Gaussians, Row], None] | None = None
    """Called with every candidate scene."""


@dataclass(frozen=True, eq=False)
class Spot:
    """One box of one test photo, and how the input looks there."""

    photo: Photo
    pixels: Float[Tensor, "H W 3"]
    box: Rect | None
    before: Comparison
    start: Comparison
    """How what upgrades start from looks there: what a refused upgrade leaves."""


def run(
    benchmark: Benchmark, methods: Sequence[str], report: Report, done: frozenset[tuple] = frozenset()
) -> Iterator[Row]:
    """The rows as they finish, but those whose `row_key` is in `done`."""
    if benchmark.whole:
        benchmark = dataclasses.replace(benchmark, upgrade=_once(benchmark.upgrade))
    per_photo = 1 if benchmark.whole else len(benchmark.places) or benchmark.boxes
    total, count = max(1, len(benchmark.test) * per_photo * len(methods)), 0
    for spot in spots(benchmark):
        for method in methods:
            step = within(report, min(1.0, count / total), min(1.0, (count + 1) / total))
            count += 1
            if (spot.photo.name, spot.box, method) not in done:
                name = f"{spot.photo.name}, box {(count - 1) // len(methods) % per_photo + 1}, {method}"
                yield measure(benchmark, spot, method, _named(name, step))


def _once(upgrade: Upgrader) -> Upgrader:
    """The same, but each method's result is kept: a whole scene is upgraded once for all test photos."""
    kept: dict[str, Outcome] = {}

    def upgraded(trial: Trial, report: Report) -> Outcome:
        if trial.method not in kept:
            kept[trial.method] = upgrade(trial, report)
        return kept[trial.method]

    return upgraded


def _named(name: str, report: Report) -> Report:
    """A Report that says first what is being measured."""
    return lambda stage, fraction: report(f"{name}: {stage}", fraction)


def row_key(row: Row) -> tuple:
    """What makes a row the same one in a later run."""
    return (row.photo, row.box, row.method)


def spots(benchmark: Benchmark) -> Iterator[Spot]:
    """Every place that is measured."""
    for photo in benchmark.test.photos:
        pixels = photo.load().float() / 255
        before = Comparison.of(render(benchmark, benchmark.scene, photo.camera, benchmark.mode), pixels)
        start = Comparison.of(render(benchmark, benchmark.start, photo.camera, benchmark.start_mode), pixels)
        for box in [None] if benchmark.whole else _boxes(benchmark, pixels):
            yield Spot(photo, pixels, box, before, start)


def _boxes(benchmark: Benchmark, pixels: Float[Tensor, "H W 3"]) -> list[Rect]:
    if benchmark.places:
        return boxes_at(pixels.shape[1], pixels.shape[0], benchmark.places)
    return choose_boxes(pixels, benchmark.boxes, benchmark.low_long_side)


def measure(benchmark: Benchmark, spot: Spot, method: str, report: Report) -> Row:
    """The row of one method at one place."""
    if method == INPUT:
        return _row(benchmark, spot, method, spot.before, render_mode=benchmark.render_mode, applied=False)
    if method == BAND_LIMITED:
        return _row(benchmark, spot, method, spot.start)
    if method == FULL:
        assert benchmark.full is not None
        added = len(benchmark.full) - len(benchmark.start)
        return _candidate_row(benchmark, spot, method, benchmark.full, gaussians_added=added)
    return _upgrade_row(benchmark, spot, method, report)


def _upgrade_row(benchmark: Benchmark, spot: Spot, method: str, report: Report) -> Row:
    """The row of an upgrade; where it could not run, with the reason and the figures of what it starts from."""
    trial = _trial(benchmark, spot, method)
    forget_peak(benchmark.rasterizer.device)
    started = time.monotonic()
    try:
        outcome = benchmark.upgrade(trial, report)
    except MethodError as error:
        seconds = time.monotonic() - started
        return _row(benchmark, spot, method, spot.start, applied=False, seconds=seconds, note=str(error))
    seconds, peak = time.monotonic() - started, peak_mb(benchmark.rasterizer.device)
    if benchmark.whole:  # made once, for all photos
        seconds = sum(outcome.seconds.values())
    facts = {**_judged(outcome), "seconds": seconds, "peak_memory_mb": peak}
    return _candidate_row(benchmark, spot, method, outcome.patch.apply(benchmark.start), **facts)


def _trial(benchmark: Benchmark, spot: Spot, method: str) -> Trial:
    camera = spot.photo.camera
    return Trial(
        scene=benchmark.start,
        box=None if benchmark.whole else Box(camera, spot.box or camera.rect),
        context=benchmark.context,
        method=method,
        budget=benchmark.budget,
        mode=benchmark.start_mode,
        rasterizer=benchmark.rasterizer,
        seed=benchmark.seed,
    )


def _judged(outcome: Outcome) -> dict[str, Any]:
    """What a row says of the judge, the time and the edit."""
    verdict, stages, patch = outcome.verdict, outcome.seconds, outcome.patch
    return {
        "applied": verdict.accepted,
        "judge_gain_db": verdict.gain_db,
        "judge_noise_db": verdict.noise_db,
        "judge_photo": verdict.photo,
        "judge_seconds": stages.get("judge", 0.0),
        "stage_seconds": dict(stages),
        "gaussians_removed": len(patch.removed),
        "gaussians_added": len(patch.added),
        "note": verdict.sentence,
    }


def _unjudged() -> dict[str, Any]:
    """What a row says instead where nothing was upgraded."""
    return {
        "judge_gain_db": None,
        "judge_noise_db": None,
        "judge_photo": None,
        "seconds": 0.0,
        "judge_seconds": 0.0,
        "stage_seconds": {},
        "gaussians_removed": 0,
        "gaussians_added": 0,
        "peak_memory_mb": None,
    }


def _row(
    benchmark: Benchmark, spot: Spot, method: str, candidate: Comparison, *, applied: bool = True, **facts: Any
) -> Row:
    """A row whose figures before are the input's; a refused result leaves what upgrades start from."""
    shown = candidate if applied or method == INPUT else spot.start
    figures = measured(*(comparison.figures(spot.box) for comparison in (spot.before, shown, candidate)))
    render_mode = benchmark.render_mode if benchmark.start is benchmark.scene else BAND_LIMITED
    return Row(
        photo=spot.photo.name,
        box=spot.box,
        method=method,
        mode="box" if spot.box else "whole",
        gradient_energy_photo=gradient_energy(_window(spot.pixels, spot.box)),
        budget_seconds=benchmark.budget.seconds,
        gaussians_before=len(benchmark.scene),
        applied=applied,
        psnr_start=spot.start.figures(spot.box).psnr,
        **{"render_mode": render_mode, **_unjudged(), **figures, **facts},
    )


def _candidate_row(benchmark: Benchmark, spot: Spot, method: str, candidate: Gaussians, **facts: Any) -> Row:
    """The row of a scene that a method made, drawn in the mode of upgrades; the scene is kept where that is asked."""
    picture = render(benchmark, candidate, spot.photo.camera, benchmark.start_mode)
    row = _row(benchmark, spot, method, Comparison.of(picture, spot.pixels), **facts)
    if benchmark.keep is not None:
        benchmark.keep(candidate, row)
    return row


def render(benchmark: Benchmark, scene: Gaussians, camera: Camera, mode: RenderMode) -> Float[Tensor, "H W 3"]:
    """The whole picture."""
    with torch.no_grad():
        return benchmark.rasterizer.render(scene, camera.to(scene.device), mode=mode).rgb


def _window(pixels: Float[Tensor, "H W 3"], box: Rect | None) -> Float[Tensor, "h w 3"]:
    if box is None:
        return pixels
    x0, y0, x1, y1 = box
    return pixels[y0:y1, x0:x1]
