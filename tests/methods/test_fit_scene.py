import dataclasses

import pytest
import torch
from scenes import Board

from gaussian_lens_app.errors import NeedsMissing
from gaussian_lens_app.evaluation.metrics import psnr
from gaussian_lens_app.jobs.report import silent
from gaussian_lens_app.methods import Budget, Scope, Task, find_method, fit_scene
from gaussian_lens_app.methods.fit_scene import FitScene, FitSceneSettings, grown
from gaussian_lens_app.methods.glimpses import CLOSER, glimpse_of, seen_mode
from gaussian_lens_app.methods.scene_windows import SceneWindowSettings, scene_windows
from gaussian_lens_app.methods.view_gradients import photo_scores
from gaussian_lens_app.optimize.local import LocalProblem
from gaussian_lens_app.scene import Gaussians
from gaussian_lens_app.select import whole_region

FEW = FitSceneSettings(rounds=6)


@pytest.fixture(scope="module")
def task(textured_board: Board, fast_rasterizer) -> Task:
    scene, capture = textured_board.scene, textured_board.capture.only([0, 1, 3, 4, 5])
    return Task(scene, whole_region(scene, capture), fast_rasterizer, capture, budget=Budget(600, 100_000))


def kept_out(board: Board, scene: Gaussians, rasterizer) -> float:
    photo = board.capture.photos[2]
    with torch.no_grad():
        return psnr(rasterizer.render(scene, photo.camera).rgb, photo.load().float() / 255)


def test_a_photo_that_it_did_not_see_gets_sharper(textured_board, task, fast_rasterizer):
    after = FitScene(FEW)(task, silent).apply(textured_board.scene)
    assert kept_out(textured_board, after, fast_rasterizer) > kept_out(
        textured_board, textured_board.scene, fast_rasterizer
    )


def test_part_of_the_gaussians_become_two_and_each_knows_its_parent(textured_board, task):
    before = len(textured_board.scene)
    patch = FitScene(FEW)(task, silent)
    assert torch.equal(patch.removed, torch.arange(before))
    assert torch.equal(patch.parents.unique(), torch.arange(before))
    children = patch.parents.bincount()
    assert int((children == 2).sum()) == int(0.4 * before)
    assert int(children.max()) == 2


def test_without_growth_the_gaussians_keep_their_number(task):
    patch = FitScene(dataclasses.replace(FEW, growth=0.0))(task, silent)
    assert torch.equal(patch.parents, patch.removed)


def test_photos_no_larger_than_those_the_scene_was_made_from_add_none(task):
    fine = dataclasses.replace(task.scene, log_scales=task.scene.log_scales - 3.0)
    patch = FitScene(FEW)(dataclasses.replace(task, scene=fine), silent)
    assert torch.equal(patch.parents, patch.removed)


def test_no_more_are_added_than_the_budget_allows(textured_board, task):
    patch = FitScene(FEW)(dataclasses.replace(task, budget=Budget(600, 7)), silent)
    assert len(patch.added) == len(textured_board.scene) + 7


def test_those_that_the_photos_pull_at_most_become_two(textured_board, task, fast_rasterizer):
    _, windows, _ = scene_windows(task, SceneWindowSettings())
    scene = textured_board.scene
    chosen = torch.zeros(len(scene), dtype=torch.bool)
    chosen[::2] = True
    both, origins = grown(
        scene.take(chosen), LocalProblem(scene.take(~chosen), windows, [], fast_rasterizer, task.mode), 5
    )
    pull = sum(photo_scores(scene, one.camera, one.rect, one.photo, fast_rasterizer, task.mode) for one in windows)
    assert len(both) == int(chosen.sum()) + 5
    wanted = set(pull[chosen].topk(5).indices.tolist())
    assert {row for row in origins.tolist() if origins.tolist().count(row) == 2} == wanted


def test_the_seconds_end_it(task):
    hurried = FitScene(FitSceneSettings(rounds=10_000))(dataclasses.replace(task, budget=Budget(seconds=0.5)), silent)
    assert all(bool(values.isfinite().all()) for _, values in hurried.added.tensors())


def test_all_photos_have_their_say_in_the_steps_of_a_few(task):
    told: list[str] = []
    patch = FitScene(FitSceneSettings(rounds=4, most_steps_for=3))(task, lambda text, _: told.append(text))
    assert told.count("Fitting to the photos") == 12
    assert len(patch.provenance["photos"]) == 5


def test_the_same_task_gives_the_same_bits(task):
    first, second = (FitScene(FitSceneSettings(rounds=2))(task, silent) for _ in range(2))
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(first.added.tensors(), second.added.tensors(), strict=True))


def test_a_glimpse_is_fitted_to_beside_the_photos(textured_board, task, fast_rasterizer):
    every = whole_region(textured_board.scene, textured_board.capture)
    coarse = dataclasses.replace(textured_board.scene, log_scales=textured_board.scene.log_scales + 2.0)
    glimpse = glimpse_of(textured_board.capture.photos[2], every.views[2], coarse, every)
    assert glimpse is not None
    patch = FitScene(FitSceneSettings(rounds=1))(dataclasses.replace(task, glimpses=(glimpse,)), silent)
    assert patch.provenance["glimpses"] == [glimpse.photo.name]
    without = FitScene(FitSceneSettings(rounds=1, glimpses=False))
    assert without(dataclasses.replace(task, glimpses=(glimpse,)), silent).provenance["glimpses"] == []


def test_from_half_way_on_what_it_has_is_shown_and_stays_as_it_was_shown(task):
    seen: list[tuple[Gaussians, float]] = []

    def preview(patch) -> None:
        seen.append((patch.added, float(patch.added.sh0.sum())))

    settings = FitSceneSettings(rounds=4, local=dataclasses.replace(FitSceneSettings().local, check_every=5))
    patch = FitScene(settings)(dataclasses.replace(task, preview=preview), silent)
    steps = 4 * len(patch.provenance["photos"])
    assert len(seen) == sum(2 * step > steps for step in range(5, steps + 1, 5))
    assert all(float(shown.sh0.sum()) == then for shown, then in seen)
    assert len({then for _, then in seen}) == len(seen)


def test_cancelling_stops_it(task):
    class Cancelled(Exception):
        pass

    def report(text: str, fraction: float) -> None:
        if text == "Fitting to the photos":
            raise Cancelled

    with pytest.raises(Cancelled):
        FitScene(FEW)(task, report)


def test_without_photos_it_says_what_is_missing(task):
    with pytest.raises(NeedsMissing, match="--capture"):
        FitScene()(dataclasses.replace(task, capture=None), silent)


def test_it_is_in_the_menu_for_whole_scenes():
    assert find_method("fit-scene").scopes == (Scope.SCENE,)


def test_what_photos_are_compared_with_goes_by_what_the_scene_has_seen_of_them(task):
    fine = dataclasses.replace(task.scene, log_scales=task.scene.log_scales - 3.0)
    assert seen_mode(task.mode, task.scene, task.region) == task.mode
    assert seen_mode(task.mode, fine, task.region) == task.mode.averaged(CLOSER)


def test_small_photos_fitted_to_as_the_means_they_are_show_more_to_who_looks_closer(
    textured_board, fast_rasterizer, monkeypatch
):
    """Than fitted to through the filter of large ones, which blurs what it draws once more."""
    scene, small = textured_board.scene, textured_board.capture.only([0, 1, 3, 4, 5]).with_long_side(60)
    task = Task(scene, whole_region(scene, small), fast_rasterizer, small, budget=Budget(600, 100_000))
    figures = []
    for mode in (task.mode.averaged(4.0), task.mode):
        monkeypatch.setattr(fit_scene, "seen_mode", lambda *_, mode=mode: mode)
        after = FitScene(dataclasses.replace(FEW, rounds=20))(task, silent).apply(scene)
        figures.append(kept_out(textured_board, after, fast_rasterizer))
    print(figures)
    assert figures[0] > figures[1] + 0.2
