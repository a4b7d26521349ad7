"""One upgrade from box, or whole scene, to judged patch: select, run the method, judge."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

import torch

from gaussian_lens_app.errors import JobCancelled, MethodError, NothingSelected
from gaussian_lens_app.evaluation.judge import JudgeSettings, Verdict, judge, judge_low_resolution, pooled
from gaussian_lens_app.jobs.report import Report, silent, within
from gaussian_lens_app.methods import Needs, Scope, Task, find_method
from gaussian_lens_app.methods.glimpses import glimpse_of, new_to_see, seen_mode, splat_size
from gaussian_lens_app.methods.scene_windows import spread
from gaussian_lens_app.scene import Capture, Gaussians, Patch, PhotoView, Region
from gaussian_lens_app.select import select_region, whole_region
from gaussian_lens_app.select.misfits import misfits, without_misfits
from gaussian_lens_app.upgrade.request import UpgradeRequest, UpgradeResult

FEW_PHOTOS = 5
"""With fewer photos of the region, keeping one from the fit costs too much: two folds judge instead."""
MADE_UP = ("invented", "derived", "inherited")
SHARPER = 2.0
"""The typical splat of a scene made from photos of some size has a sigma of about 1.4 of their pixels: photos of that
size can tell whether a fit to them is better, but not whether made-up detail is right."""
MOST_LOOKED_AT = 8
"""So many photos, spread over the capture, tell whether a scene still agrees with them."""
NAMED = 2
"""A sentence names so many photos."""
JUDGE_RANK = 3
"""The judge gets the fourth best photo: near enough to see the region, not so near that the fit misses it."""


def run_line(request: UpgradeRequest, report: Report = silent) -> UpgradeResult:
    """Select, run the method, judge. Raises MethodError or CaptureError with a sentence; changes nothing."""
    clock = _Clock()
    _check_scope(request)
    report("Selecting", 0.0)
    region = request.region or _select(request)
    if region.count == 0:
        raise NothingSelected("The box holds no Gaussian that the photos see: drag it over something that is drawn.")
    region, left_out = _without_misfits(request, region, within(report, 0.05, 0.1))
    clock.lap("select")
    judge_views = _judge_views(request, region)
    budget = dataclasses.replace(request.budget, seconds=request.budget.seconds / len(judge_views))
    request = dataclasses.replace(request, budget=budget)
    folds = [_run_method(request, region, view, within(report, *span)) for view, span in _spans(judge_views)]
    clock.lap("method")
    report("Judging", 0.9)
    verdict = _naming(left_out, _judge(request, region, judge_views, folds, within(report, 0.9, 1.0)))
    clock.lap("judge")
    told = {**folds[0].provenance, "method": request.method, "verdict": dataclasses.asdict(verdict)}
    if left_out:
        told["left_out"] = left_out
    patch = dataclasses.replace(folds[0], provenance=told)
    report("Done", 1.0)
    return UpgradeResult(patch, region, verdict, clock.seconds)


def _check_scope(request: UpgradeRequest) -> None:
    method, scope = find_method(request.method), Scope.SCENE if request.box is None else Scope.REGION
    if scope not in method.scopes:
        raise MethodError(
            f"{method.label} works on {method.scopes[0].value}, not on {scope.value}: choose another method."
        )


def _select(request: UpgradeRequest) -> Region:
    """What is in the box, or all there is."""
    if request.box is None:
        return whole_region(request.scene, request.capture)
    return select_region(
        request.scene, request.box, request.capture, request.rasterizer, mode=request.mode, through=request.through
    )


def _without_misfits(request: UpgradeRequest, region: Region, report: Report) -> tuple[Region, list[str]]:
    """(the region without the photos that contradict the scene, their names): neither method nor judge gets them."""
    capture, instant = request.capture, request.box is None and find_method(request.method).needs is Needs.NOTHING
    if capture is None or instant:  # looking at hundreds of photos would take longer than the method
        return region, []
    return without_misfits(request.scene, region, capture, request.rasterizer, request.mode, report)


def _naming(left_out: Sequence[str], verdict: Verdict) -> Verdict:
    """The verdict, and which photos had no part in it: their cameras may be worth a look."""
    if not left_out:
        return verdict
    names = ", ".join(left_out[:NAMED]) + ", ..." * (len(left_out) > NAMED)
    why = "which does not fit" if len(left_out) == 1 else "which do not fit"
    sentence = f"{verdict.sentence} Left out: {names}, {why} the scene (a wrong camera, or something moved)."
    return dataclasses.replace(verdict, sentence=sentence)


def _judge_views(request: UpgradeRequest, region: Region) -> list[PhotoView | None]:
    """The photos kept for judging, one a fold; None: nothing is kept."""
    views = region.views
    if not request.judge or len(views) < 2 or _seen_whole(request, region):
        return [None]
    if len(views) >= FEW_PHOTOS:
        return [views[JUDGE_RANK]]
    return [views[-1], views[0]]


def _seen_whole(request: UpgradeRequest, region: Region) -> bool:
    """Whether the scene has seen all there is in its photos, and the method is one that goes by that.

    Then there is no photo that it has not seen, and one kept from the method alone would speak for the scene as it is,
    which was fitted to that photo too. Methods for boxes alone are for photos that show more: one is kept from them.
    """
    return Scope.SCENE in find_method(request.method).scopes and not new_to_see(request.scene, region)


def _spans(views: list[PhotoView | None]) -> list[tuple[PhotoView | None, tuple[float, float]]]:
    step = 0.8 / len(views)
    return [(view, (0.1 + step * i, 0.1 + step * (i + 1))) for i, view in enumerate(views)]


def _run_method(request: UpgradeRequest, region: Region, kept: PhotoView | None, report: Report) -> Patch:
    """The method's patch, made without the photo kept for judging, or with what the scene had seen of it."""
    method, task = find_method(request.method), _task(request, region, kept)
    try:
        return _checked(method(task, report), request)
    except JobCancelled as stop:
        if isinstance(stop.kept, Patch):
            _checked(stop.kept, request)
        raise
    except (ArithmeticError, LookupError, ValueError) as error:
        if ":" not in request.method:
            raise
        raise MethodError(f"{request.method} cannot run with these settings: {error}.") from error


def _task(request: UpgradeRequest, region: Region, kept: PhotoView | None) -> Task:
    """What the method gets to see."""
    views = tuple(view for view in region.views if view is not kept)
    capture, glimpses = request.capture, ()
    if capture is not None and kept is not None:
        if request.glimpse:
            glimpse = glimpse_of(capture.photos[kept.photo], kept, request.scene, region)
            glimpses = () if glimpse is None else (glimpse,)
        capture, views = _without(capture, views, kept.photo)
    return Task(
        scene=request.scene,
        region=dataclasses.replace(region, views=views),
        rasterizer=request.rasterizer,
        capture=capture,
        box=request.box,
        mode=request.mode,
        budget=request.budget,
        seed=request.seed,
        glimpses=glimpses,
        preview=request.preview,
    )


def _checked(patch: Patch, request: UpgradeRequest) -> Patch:
    """The patch, if it can be applied; a method that diverged must not reach the scene, or the judge."""
    rows, count = patch.removed, len(request.scene)
    if len(rows) and not bool((rows >= 0).all() & (rows < count).all()):
        raise MethodError(f"{request.method} removed Gaussians that are not there; the scene is as it was.")
    if any(not bool(torch.isfinite(values).all()) for _, values in patch.added.tensors()):
        raise MethodError(
            f"{request.method} came to values that are no numbers (NaN or infinite); the scene is as it was: "
            "try another method or a smaller box."
        )
    return patch


def _without(capture: Capture, views: tuple[PhotoView, ...], photo: int) -> tuple[Capture, tuple[PhotoView, ...]]:
    """The capture less one photo, and the views with their indices moved accordingly."""
    kept = [i for i in range(len(capture)) if i != photo]
    moved = tuple(dataclasses.replace(view, photo=kept.index(view.photo)) for view in views)
    return capture.only(kept), moved


def photos_resolve(scene: Gaussians, region: Region, pixels: float = 1.0) -> bool:
    """Whether the region's typical splat is wider than so many pixels of some photo: it can verify detail there."""
    typical = splat_size(scene, region)
    return any(view.resolution * typical > pixels for view in region.views)


def _judge(
    request: UpgradeRequest, region: Region, views: list[PhotoView | None], folds: list[Patch], report: Report
) -> Verdict:
    capture, measure = request.capture, (request.rasterizer, request.mode)
    if request.judge and region.views and _seen_whole(request, region):
        return _agreement(request, region, folds[0], report)
    kept = [(patch.apply(request.scene), view) for view, patch in zip(views, folds, strict=True) if view is not None]
    if capture is None or not kept:
        lacking = "there are no photos" if capture is None else "no photo is left"
        sentence = f"Not judged: {lacking} to measure on. Detail not verified."
        return Verdict(True, False, None, None, None, sentence)
    made_up = folds[0].provenance.get("kind") in MADE_UP
    if not photos_resolve(request.scene, region, SHARPER if made_up else 1.0):
        return judge_low_resolution(request.scene, kept, capture, *measure)
    looked_at = {name for patch in folds for name in patch.provenance.get("glimpses", ())}
    glimpsed = [capture.photos[view.photo].name in looked_at for _, view in kept]
    verdicts = [
        judge(request.scene, after, capture, view, *measure, glimpsed=seen)
        for (after, view), seen in zip(kept, glimpsed, strict=True)
    ]
    return verdicts[0] if len(verdicts) == 1 else pooled(verdicts, JudgeSettings(), any(glimpsed))


def _agreement(request: UpgradeRequest, region: Region, patch: Patch, report: Report) -> Verdict:
    """Whether the result still agrees with photos that the scene has seen whole, and mostly the method too."""
    capture, measure = request.capture, (request.rasterizer, seen_mode(request.mode, request.scene, region))
    assert capture is not None
    views = spread(region.views, MOST_LOOKED_AT)
    wrong = misfits(request.scene, views, capture, *measure, within(report, 0.0, 0.3))
    after = patch.apply(request.scene)
    folds = [(after, view) for view in views if view not in wrong]
    had = patch.provenance.get("fitted_to") or patch.provenance.get("photos") or ()
    seen = all(capture.photos[view.photo].name in had for _, view in folds)
    return judge_low_resolution(request.scene, folds, capture, *measure, seen=seen, report=within(report, 0.3, 1.0))


class _Clock:
    """Seconds between laps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.seconds[name], self.last = now - self.last, now
