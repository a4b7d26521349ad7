"""`gsr evaluate`: the region benchmark of the product's own methods, from files to figures.

>>> evaluation = evaluate(EvaluateSettings(capture=Path("photos"), scene=Path("low.ply"), boxes=1))
>>> print(evaluation.table())
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gaussian_lens_app.errors import CaptureError
from gaussian_lens_app.evaluation.ceiling import FullSettings, full_scene
from gaussian_lens_app.evaluation.modes import Input, in_best_mode
from gaussian_lens_app.evaluation.protocol import BAND_LIMITED, FULL, INPUT, Benchmark, Outcome, Trial, row_key, run
from gaussian_lens_app.evaluation.report import Evaluation, versions
from gaussian_lens_app.evaluation.rows import Row
from gaussian_lens_app.formats import load, load_capture, save, sog
from gaussian_lens_app.formats.atomic import make_folder, write_atomically
from gaussian_lens_app.jobs.report import Report, silent, within
from gaussian_lens_app.methods import Budget, find_method
from gaussian_lens_app.networks.weights import RELEASED
from gaussian_lens_app.raster import Rasterizer, for_device
from gaussian_lens_app.scene import Capture, Gaussians
from gaussian_lens_app.upgrade import UpgradeRequest, upgrade

MAX_LONG_SIDE = 1600
"""High resolution is the photo as delivered, at most this."""


@dataclass(frozen=True)
class EvaluateSettings:
    """What is measured, on what."""

    capture: Path
    """Folder with photos and cameras."""
    scene: Path
    """The input scene, made from the context photos alone at low resolution."""
    methods: tuple[str, ...] = (INPUT, BAND_LIMITED, "pixels", "fit-only", "refine")
    """`input` (unchanged), `band-limited` (what upgrades start from), `full` (the whole scene optimised, the ceiling),
    and any upgrade methods."""
    holdout: tuple[int, int] = (8, 4)
    """Photos with index % first == second are test photos."""
    boxes: int = 3
    """Boxes a test photo: the centre, then where the low-resolution photo lacks most."""
    at: tuple[tuple[float, float], ...] = ()
    """Instead of those, boxes around these places (x, y), in parts of a photo's sides."""
    whole: bool = False
    """Measure whole test photos instead of boxes."""
    budget_seconds: float = 4.0
    """Seconds a method may take, the same for every method."""
    budget_gaussians: int = Budget.gaussians
    """Gaussians a method may add."""
    photo_long_side: int | None = None
    """Context photos the methods see have at most so many pixels on the longer side."""
    test_long_side: int | None = None
    """Test photos have at most so many pixels on the longer side."""
    low_long_side: int = 400
    """Size of the photos that the input scene was made from."""
    camera_error: float = 0.0
    """Cameras of context photos are made wrong by so many pixels (standard deviation)."""
    full_steps: int = FullSettings.steps
    """Optimisation steps of `full`."""
    device: str = "auto"
    """auto, cpu or cuda."""
    seed: int = 0
    save: Path | None = None
    """Folder that keeps each candidate as PLY."""
    rows: Path | None = None
    """File that takes every row as it finishes (JSON lines); a run that was stopped goes on from it."""


def evaluate(settings: EvaluateSettings, report: Report = silent, rasterizer: Rasterizer | None = None) -> Evaluation:
    """The rows and means of one scene. Raises GsrError with a sentence."""
    for method in settings.methods:
        if method not in (INPUT, BAND_LIMITED, FULL):
            find_method(method)
    rasterizer = rasterizer or for_device(settings.device)
    report("Loading", 0.0)
    file = load(settings.scene)
    scene = file.gaussians.to(rasterizer.device)
    context, test = _split(load_capture(settings.capture, stated=file.cameras), settings)
    given = in_best_mode(scene, context, rasterizer, settings.low_long_side)
    ready = 0.3 if FULL in settings.methods else 0.02
    full = _full(given, context, rasterizer, settings, within(report, 0.01, ready))
    benchmark = _benchmark(given, full, context, test, rasterizer, settings)
    facts = {**_facts(settings, rasterizer, context, test), "render_modes": _mode_facts(given)}
    return Evaluation(facts, _all_rows(benchmark, settings, facts, within(report, ready, 1.0)))


def _full(
    given: Input, context: Capture, rasterizer: Rasterizer, settings: EvaluateSettings, report: Report
) -> Gaussians | None:
    """The ceiling, where it is asked for."""
    if FULL not in settings.methods:
        return None
    full_settings = FullSettings(steps=settings.full_steps, seed=settings.seed)
    full = full_scene(given.start, context, given.start_mode, rasterizer, full_settings, report)
    return full.to(rasterizer.device)


def _benchmark(
    given: Input,
    full: Gaussians | None,
    context: Capture,
    test: Capture,
    rasterizer: Rasterizer,
    settings: EvaluateSettings,
) -> Benchmark:
    return Benchmark(
        scene=given.scene,
        context=context,
        test=test,
        rasterizer=rasterizer,
        render_mode=given.render_mode,
        mode=given.mode,
        start=given.start,
        start_mode=given.start_mode,
        upgrade=_upgraded,
        budget=Budget(settings.budget_seconds, settings.budget_gaussians),
        boxes=settings.boxes,
        places=settings.at,
        whole=settings.whole,
        low_long_side=settings.low_long_side,
        seed=settings.seed,
        full=full,
        keep=_keeper(settings.save),
    )


def _upgraded(trial: Trial, report: Report) -> Outcome:
    """The product's own upgrade, asked as the viewer asks."""
    request = UpgradeRequest(
        scene=trial.scene,
        box=trial.box,
        capture=trial.context,
        method=trial.method,
        rasterizer=trial.rasterizer,
        budget=trial.budget,
        mode=trial.mode,
        seed=trial.seed,
    )
    return upgrade(request, report)


def _split(capture: Capture, settings: EvaluateSettings) -> tuple[Capture, Capture]:
    """(context, test) at the sizes asked for."""
    context, test = capture.split(settings.holdout)
    if len(test) == 0 or len(context) == 0:
        every, offset = settings.holdout
        raise CaptureError(
            f"With --holdout {every}:{offset} the {len(capture)} photos leave {len(context)} context and {len(test)} "
            "test photos: choose another holdout."
        )
    context = context.with_long_side(min(MAX_LONG_SIDE, settings.photo_long_side or MAX_LONG_SIDE))
    return (
        misplaced(context, settings.camera_error, settings.seed),
        test.with_long_side(min(MAX_LONG_SIDE, settings.test_long_side or MAX_LONG_SIDE)),
    )


def misplaced(capture: Capture, pixels: float, seed: int) -> Capture:
    """The capture with each camera's principal point moved at random, so many pixels in each direction."""
    if pixels == 0:
        return capture
    generator = torch.Generator().manual_seed(seed)
    moved = tuple(
        dataclasses.replace(photo, camera=photo.camera.shifted(pixels * torch.randn(2, generator=generator)))
        for photo in capture.photos
    )
    return dataclasses.replace(capture, photos=moved)


def _all_rows(
    benchmark: Benchmark, settings: EvaluateSettings, facts: dict[str, Any], report: Report
) -> tuple[Row, ...]:
    """The rows of this run, those of an interrupted one included."""
    if settings.rows is None:
        return tuple(run(benchmark, settings.methods, report))
    stamp = json.dumps(facts, sort_keys=True)
    rows = _finished(settings.rows, stamp)
    make_folder(settings.rows.parent)
    with write_atomically(settings.rows, "w") as file:  # anew: the next row would join one that was cut off
        file.writelines(line + "\n" for line in (stamp, *map(_line, rows)))
    for row in run(benchmark, settings.methods, report, frozenset(map(row_key, rows))):
        with settings.rows.open("a") as file:
            file.write(_line(row) + "\n")
        rows.append(row)
    return tuple(rows)


def _finished(path: Path, stamp: str) -> list[Row]:
    """Rows of an earlier run of exactly this benchmark; none where anything differs."""
    if not path.exists():
        return []
    first, *lines = path.read_text(errors="replace").splitlines() or [""]
    return [row for line in lines if (row := _row(line)) is not None] if first == stamp else []


def _line(row: Row) -> str:
    return json.dumps(row.to_json())


def _row(line: str) -> Row | None:
    """None for a line that was cut off, or joined by the next one."""
    try:
        return Row.from_json(json.loads(line))
    except (ValueError, KeyError, TypeError):
        return None


def _keeper(folder: Path | None) -> Callable[[Gaussians, Row], None] | None:
    if folder is None:
        return None

    def keep(candidate: Gaussians, row: Row) -> None:
        place = "whole" if row.box is None else "_".join(map(str, row.box))
        make_folder(folder)
        method = re.sub(r"[^\w.+=,-]", "_", row.method)  # settings may follow the name, paths among them
        save(folder / f"{Path(row.photo).stem}_{place}_{method}.ply", candidate.to("cpu"))

    return keep


def _facts(settings: EvaluateSettings, rasterizer: Rasterizer, context: Capture, test: Capture) -> dict[str, Any]:
    chosen = {
        key: str(value) if isinstance(value, Path) else value for key, value in dataclasses.asdict(settings).items()
    }
    for local in ("rows", "save"):
        del chosen[local]
    return {
        "capture": str(settings.capture),
        "scene": str(settings.scene),
        "scene_name": settings.scene.stem,
        "scene_sha256": _sha256(settings.scene),
        "holdout": list(settings.holdout),
        "context_photos": [photo.name for photo in context.photos],
        "test_photos": [photo.name for photo in test.photos],
        "device": torch.cuda.get_device_name() if rasterizer.device == "cuda" else "cpu",
        "rasterizer": rasterizer.name,
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "weights": {name: release.sha256 for name, release in RELEASED.items()},
        "settings": chosen,
    }


def _mode_facts(given: Input) -> dict[str, Any]:
    return {
        "chosen": given.render_mode,
        "eps2d": given.mode.eps2d,
        "band_limited": given.start is not given.scene,
        "context_psnr": given.context_psnr,
    }


def _sha256(scene: Path) -> str:
    """Of the scene's file; of the files of a folder one after the other."""
    folder = scene.name == sog.META or sog.is_sog_folder(scene)
    digest = hashlib.sha256()
    for path in sog.files_of(scene) if folder else [scene]:
        digest.update(path.read_bytes())
    return digest.hexdigest()
