"""The benchmark's rules, with a fake method in place of the product's."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch

from gaussian_lens_app.errors import NothingSelected
from gaussian_lens_app.evaluation.boxes import boxes_at
from gaussian_lens_app.evaluation.judge import Verdict
from gaussian_lens_app.evaluation.modes import best_mode
from gaussian_lens_app.evaluation.protocol import Benchmark, Trial, row_key, run
from gaussian_lens_app.jobs.report import Report, silent
from gaussian_lens_app.methods import Budget
from gaussian_lens_app.raster import ANTIALIASED
from gaussian_lens_app.raster.reference import ReferenceRasterizer
from gaussian_lens_app.scene import Capture, Gaussians, Patch, Photo
from tests.scenes import Board, board

RASTERIZER = ReferenceRasterizer()


@dataclass(frozen=True)
class FakeOutcome:
    patch: Patch
    verdict: Verdict
    seconds: dict[str, float] = field(default_factory=lambda: {"select": 0.1, "method": 0.2, "judge": 0.3})


@dataclass
class FakeUpgrade:
    """Replaces the scene by `candidate`; the judge says `accepted`."""

    candidate: Gaussians
    accepted: bool = True
    trials: list[Trial] = field(default_factory=list)

    def __call__(self, trial: Trial, report: Report) -> FakeOutcome:
        self.trials.append(trial)
        report("Faking", 0.5)
        count = len(self.candidate)
        patch = Patch(torch.arange(len(trial.scene)), self.candidate, torch.full((count,), -1))
        gain = 1.0 if self.accepted else -1.0
        return FakeOutcome(patch, Verdict(self.accepted, True, gain, 0.1, "photo_02.png", "Said the fake."))


@pytest.fixture(scope="module")
def made() -> Board:
    return board(RASTERIZER, fine=24, coarse=8, photos=5, width=64)


def benchmark(made: Board, upgrade, **changes) -> Benchmark:
    context, test = made.capture.split((4, 1))
    values = {
        "scene": made.scene,
        "start": made.scene,
        "start_mode": ANTIALIASED,
        "context": context,
        "test": test,
        "rasterizer": RASTERIZER,
        "render_mode": "antialiased",
        "mode": ANTIALIASED,
        "upgrade": upgrade,
        "budget": Budget(),
        "boxes": 2,
        "low_long_side": 16,
    }
    return Benchmark(**{**values, **changes})


def test_an_applied_upgrade_counts_and_a_refused_one_changes_nothing(made):
    for accepted in (True, False):
        rows = list(run(benchmark(made, FakeUpgrade(made.truth, accepted)), ["fake"], silent))
        assert len(rows) == 2
        for row in rows:
            assert row.applied is accepted
            assert row.psnr_candidate > row.psnr_before + 1
            assert row.psnr_after == (row.psnr_candidate if accepted else row.psnr_before)
            assert row.ssim_after == (row.ssim_candidate if accepted else row.ssim_before)
            assert row.judge_seconds == 0.3
            assert (row.judge_photo, row.note) == ("photo_02.png", "Said the fake.")
            assert (row.gaussians_removed, row.gaussians_added) == (len(made.scene), len(made.truth))


def test_a_refused_upgrade_leaves_what_upgrades_start_from(made):
    start = made.scene.take(torch.arange(len(made.scene) // 2, len(made.scene)))
    fake = FakeUpgrade(made.truth, accepted=False)
    rows = list(run(benchmark(made, fake, start=start), ["input", "band-limited", "fake"], silent))
    by_method = {row.method: row for row in rows}
    assert by_method["input"].gain == 0
    assert by_method["fake"].psnr_after == by_method["band-limited"].psnr_after != by_method["input"].psnr_after
    assert all(trial.scene is start for trial in fake.trials)


def test_places_asked_for_are_measured_in_every_test_photo(made):
    places = ((0.5, 0.5), (0.1, 0.9))
    rows = list(run(benchmark(made, FakeUpgrade(made.truth), places=places), ["input"], silent))
    test = made.capture.split((4, 1))[1]
    asked = [
        (photo.name, box) for photo in test.photos for box in boxes_at(photo.camera.width, photo.camera.height, places)
    ]
    assert [(row.photo, row.box) for row in rows] == asked


def test_every_method_gets_the_same_boxes_and_input_is_unchanged(made):
    rows = list(run(benchmark(made, FakeUpgrade(made.truth), full=made.truth), ["input", "fake", "full"], silent))
    boxes = {method: [row.box for row in rows if row.method == method] for method in ("input", "fake", "full")}
    assert boxes["input"] == boxes["fake"] == boxes["full"]
    assert all(row.gain == 0 and not row.applied for row in rows if row.method == "input")
    assert {row.gaussians_added for row in rows if row.method == "full"} == {len(made.truth) - len(made.scene)}
    pairs = [[row.psnr_after for row in rows if row.method == method] for method in ("fake", "full")]
    assert pairs[0] == pytest.approx(pairs[1], abs=1e-4)


def test_no_method_sees_a_test_photo(made):
    upgrade = FakeUpgrade(made.truth)
    list(run(benchmark(made, upgrade), ["fake"], silent))
    for trial in upgrade.trials:
        assert [photo.name for photo in trial.context.photos] == [f"photo_0{i}.png" for i in (0, 2, 3, 4)]
        assert trial.box.camera is made.capture.photos[1].camera


def test_test_photos_of_noise_give_the_same_patches(made, tmp_path: Path):
    patches = []
    for name in ("true", "noise"):
        capture = on_disk(made.capture, tmp_path / name)
        if name == "noise":
            noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
            iio.imwrite(tmp_path / name / "photo_01.png", noise)
        trials = FitNearest()
        rows = list(run(benchmark(dataclasses.replace(made, capture=capture), trials, boxes=1), ["fake"], silent))
        patches.append(trials.added)
        assert len(rows) == 1
    assert torch.equal(patches[0], patches[1])


@dataclass
class FitNearest:
    """A method whose patch depends on every pixel of the photos it is given."""

    added: torch.Tensor | None = None

    def __call__(self, trial: Trial, report: Report) -> FakeOutcome:
        mean = torch.stack([photo.load().float().mean((0, 1)) for photo in trial.context.photos]).mean(0)
        one = trial.scene.take(torch.tensor([0]))
        one = dataclasses.replace(one, sh0=(mean / 255).view(1, 1, 3))
        self.added = one.sh0
        patch = Patch(torch.arange(0), one, torch.tensor([-1]))
        return FakeOutcome(patch, Verdict(True, True, 0.5, 0.1, "photo_02.png", ""))


def on_disk(capture: Capture, folder: Path) -> Capture:
    folder.mkdir()
    photos = []
    for photo in capture.photos:
        iio.imwrite(folder / photo.name, photo.load().numpy())
        photos.append(Photo(photo.name, photo.camera, folder / photo.name))
    return Capture(tuple(photos))


def test_a_method_that_cannot_run_leaves_a_row_with_its_reason(made):
    def refuse(trial: Trial, report: Report):
        raise NothingSelected("The box holds no Gaussian.")

    (row,) = run(benchmark(made, refuse, boxes=1), ["fake"], silent)
    assert not row.applied
    assert row.psnr_after == row.psnr_before == row.psnr_candidate
    assert row.note == "The box holds no Gaussian."


def test_whole_photos_have_no_box(made):
    upgrade = FakeUpgrade(made.truth)
    (row,) = run(benchmark(made, upgrade, whole=True), ["fake"], silent)
    assert row.box is None
    assert row.mode == "whole"
    assert row.outside_psnr_before is None
    assert upgrade.trials[0].box is None


def test_a_whole_scene_is_upgraded_once_for_all_test_photos(made):
    upgrade = FakeUpgrade(made.truth)
    context, test = made.capture.split((2, 1))
    rows = list(run(benchmark(made, upgrade, whole=True, context=context, test=test), ["fake"], silent))
    assert len(rows) == len(test) == 2
    assert len(upgrade.trials) == 1
    assert {row.seconds for row in rows} == {rows[0].seconds}


def test_finished_rows_are_not_measured_again(made):
    first = list(run(benchmark(made, FakeUpgrade(made.truth)), ["input", "fake"], silent))
    upgrade = FakeUpgrade(made.truth)
    rest = list(run(benchmark(made, upgrade), ["input", "fake"], silent, frozenset({row_key(first[1])})))
    assert [row_key(row) for row in rest] == [row_key(row) for i, row in enumerate(first) if i != 1]
    assert len(upgrade.trials) == 1


def test_candidates_are_kept_when_asked_for(made):
    kept = []
    run_it = benchmark(
        made, FakeUpgrade(made.truth, accepted=False), boxes=1, keep=lambda scene, row: kept.append(scene)
    )
    list(run(run_it, ["input", "fake"], silent))
    assert [len(scene) for scene in kept] == [len(made.truth)]


def test_progress_never_falls_and_ends_at_one(made):
    seen: list[float] = []
    list(run(benchmark(made, FakeUpgrade(made.truth)), ["input", "fake"], lambda stage, part: seen.append(part)))
    assert seen == sorted(seen)
    assert seen[-1] <= 1


def test_the_render_mode_is_the_one_that_fits_the_context_photos_best(made):
    context, _ = made.capture.split((4, 1))
    name, mode, figures = best_mode(made.truth, context, RASTERIZER, 64)
    assert figures[name] == max(figures.values())
    assert name in ("antialiased", "antialiased-scaled")
    assert mode == ANTIALIASED
