"""From files to figures: the whole of `gsr evaluate` on a small capture."""

import dataclasses
import json
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch

from gaussian_lens_app import benchmark
from gaussian_lens_app.benchmark import EvaluateSettings, evaluate
from gaussian_lens_app.errors import CaptureError, MethodError
from gaussian_lens_app.formats import load, save
from gaussian_lens_app.raster.reference import ReferenceRasterizer
from tests.scenes import board, write_capture

RASTERIZER = ReferenceRasterizer()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """scene.ply and a capture of nine photos with their cameras."""
    folder = tmp_path_factory.mktemp("bench")
    made = board(RASTERIZER, fine=24, coarse=8, photos=9, width=64)
    save(folder / "scene.ply", made.scene)
    write_capture(made.capture, folder / "capture")
    return folder


def settings(folder: Path, **changes) -> EvaluateSettings:
    values = {"methods": ("input", "pixels"), "boxes": 1, "low_long_side": 16, "budget_seconds": 30.0}
    return EvaluateSettings(capture=folder / "capture", scene=folder / "scene.ply", **{**values, **changes})


def test_the_json_says_what_was_measured_on_what(folder):
    evaluation = evaluate(settings(folder), rasterizer=RASTERIZER)
    report = json.loads(json.dumps(evaluation.to_json()))
    promised = {"capture", "scene", "scene_sha256", "holdout", "device", "threads", "versions", "rows", "means"}
    assert promised <= report.keys()
    assert report["test_photos"] == ["photo_04.png"]
    assert len(report["context_photos"]) == 8
    row = {
        "photo", "box", "method", "mode", "render_mode", "applied", "psnr_before", "psnr_start", "psnr_after",
        "psnr_candidate",
        "ssim_before", "ssim_after", "ms_ssim_before", "ms_ssim_after", "outside_psnr_before", "outside_psnr_after",
        "judge_gain_db", "judge_photo", "seconds", "judge_seconds", "budget_seconds", "gaussians_before",
        "gaussians_removed", "gaussians_added", "peak_memory_mb",
    }  # fmt: skip
    assert all(row <= values.keys() for values in report["rows"])
    assert report["rows"][0]["box"] == [24, 18, 40, 30]


def test_test_photos_of_noise_give_the_same_candidates(folder, tmp_path):
    run = settings(folder, methods=("pixels",))
    evaluate(dataclasses.replace(run, save=tmp_path / "true"), rasterizer=RASTERIZER)
    target = folder / "capture" / "images" / "photo_04.png"
    kept = target.read_bytes()
    iio.imwrite(target, np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8))
    try:
        evaluate(dataclasses.replace(run, save=tmp_path / "noise"), rasterizer=RASTERIZER)
    finally:
        target.write_bytes(kept)
    (name,) = [path.name for path in (tmp_path / "true").iterdir()]
    scenes = [load(tmp_path / kind / name).gaussians for kind in ("true", "noise")]
    for (_, first), (_, second) in zip(scenes[0].tensors(), scenes[1].tensors(), strict=True):
        assert torch.equal(first, second)


def test_a_run_that_was_stopped_goes_on_where_it_was(folder, tmp_path, monkeypatch):
    run = settings(folder, rows=tmp_path / "rows.jsonl")
    first = evaluate(run, rasterizer=RASTERIZER)
    lines = run.rows.read_text().splitlines()
    assert len(lines) == 3
    run.rows.write_text("\n".join(lines[:2]) + "\n")
    asked = []
    monkeypatch.setattr(benchmark, "_upgraded", lambda trial, report: asked.append(trial) or refuse())
    again = evaluate(run, rasterizer=RASTERIZER)
    assert len(asked) == 1
    assert again.rows[0] == first.rows[0]
    assert evaluate(run, rasterizer=RASTERIZER).rows == again.rows
    assert len(asked) == 1


@pytest.mark.parametrize("torn", ["a row cut off", "two rows on one line", "a row cut off after a bracket"])
def test_a_row_that_was_cut_off_is_measured_again(folder, tmp_path, monkeypatch, torn):
    run = settings(folder, rows=tmp_path / "rows.jsonl")
    first = evaluate(run, rasterizer=RASTERIZER)
    stamp, one, two = run.rows.read_text().splitlines()
    broken = {"a row cut off": two[:50], "two rows on one line": two[:50] + two + "\n"}
    run.rows.write_text("\n".join([stamp, one, broken.get(torn, two[: two.index("}") + 1])]))
    monkeypatch.setattr(benchmark, "_upgraded", lambda trial, report: refuse())
    again = evaluate(run, rasterizer=RASTERIZER)
    assert again.rows[0] == first.rows[0]
    assert len(again.rows) == 2
    assert evaluate(run, rasterizer=RASTERIZER).rows == again.rows
    lines = run.rows.read_text().splitlines()[1:]
    assert [benchmark.Row.from_json(json.loads(line)) for line in lines] == list(again.rows)


def refuse():
    raise MethodError("Not today.")


def test_rows_of_other_settings_are_not_taken_over(folder, tmp_path, monkeypatch):
    run = settings(folder, methods=("input",), rows=tmp_path / "rows.jsonl")
    evaluate(run, rasterizer=RASTERIZER)
    other = evaluate(dataclasses.replace(run, low_long_side=20), rasterizer=RASTERIZER)
    assert len(other.rows) == 1
    assert len(run.rows.read_text().splitlines()) == 2


def test_a_scene_may_be_a_folder_whose_every_file_counts(folder, tmp_path):
    save(tmp_path / "sog" / "meta.json", load(folder / "scene.ply").gaussians)

    def told(scene: Path) -> str:
        run = dataclasses.replace(settings(folder, methods=("input",)), scene=scene)
        return evaluate(run, rasterizer=RASTERIZER).facts["scene_sha256"]

    before = told(tmp_path / "sog")
    assert told(tmp_path / "sog" / "meta.json") == before
    picture = next((tmp_path / "sog").glob("sh0*.webp"))
    iio.imwrite(picture, iio.imread(picture)[::-1], lossless=True, exact=True)
    assert told(tmp_path / "sog") != before


def test_smaller_photos_can_be_asked_for(folder):
    run = settings(folder, methods=("input",), photo_long_side=32, test_long_side=48, whole=True)
    (row,) = evaluate(run, rasterizer=RASTERIZER).rows
    assert row.box is None
    context, test = benchmark._split(benchmark.load_capture(run.capture), run)
    assert {photo.camera.width for photo in context.photos} == {32}
    assert {photo.camera.width for photo in test.photos} == {48}


def test_cameras_of_photos_that_methods_see_can_be_made_wrong(folder):
    run = settings(folder, camera_error=2.0, seed=3)
    (right, test), (wrong, same) = (
        benchmark._split(benchmark.load_capture(run.capture), one)
        for one in (dataclasses.replace(run, camera_error=0.0), run)
    )
    off = torch.stack([b.camera.K - a.camera.K for a, b in zip(right.photos, wrong.photos, strict=True)])[:, :2, 2]
    assert 0.5 < float(off.square().mean().sqrt()) < 4
    assert len(off.unique(dim=0)) == len(off)
    assert all(torch.equal(a.camera.K, b.camera.K) for a, b in zip(test.photos, same.photos, strict=True))
    again, _ = benchmark._split(benchmark.load_capture(run.capture), run)
    assert all(torch.equal(a.camera.K, b.camera.K) for a, b in zip(wrong.photos, again.photos, strict=True))


def test_an_unknown_method_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(MethodError, match="sharpen"):
        evaluate(settings(tmp_path, methods=("sharpen",)), rasterizer=RASTERIZER)


def test_a_holdout_that_leaves_no_test_photo_gets_a_sentence(folder):
    with pytest.raises(CaptureError, match="another holdout"):
        evaluate(settings(folder, holdout=(100, 50)), rasterizer=RASTERIZER)
