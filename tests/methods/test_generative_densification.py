import dataclasses

import pytest
import torch
from lens_samples import lens_task
from scenes import Board

from gaussian_lens_app.errors import MethodError, NeedsMissing
from gaussian_lens_app.jobs.report import silent
from gaussian_lens_app.methods import Budget, Task, find_method
from gaussian_lens_app.methods.generative_densification import (
    DensificationSettings,
    GenerativeDensification,
    children_of_each,
)
from gaussian_lens_app.networks.gaussian_lens import GaussianLens
from gaussian_lens_app.networks.generative_densification import CPU
from gaussian_lens_app.networks.generative_densification import GenerativeDensification as Network
from gaussian_lens_app.networks.weights import load_released, save_network
from gaussian_lens_app.scene import Patch
from gaussian_lens_app.select import whole_region


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """An untrained network with the released trunk: what the method does must not hang on how well it was trained."""
    torch.manual_seed(0)
    network, lens = Network(), load_released("gaussian-lens")
    assert isinstance(lens, GaussianLens)
    network.begin_with(lens)
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_network(path, network.state_dict(), CPU, {})
    return path


@pytest.fixture(scope="module")
def boxed(textured_board: Board, fast_rasterizer) -> Task:
    return lens_task(textured_board, fast_rasterizer)


@pytest.fixture(scope="module")
def whole(textured_board: Board, fast_rasterizer) -> Task:
    scene, capture = textured_board.scene, textured_board.capture.only([0, 1, 3, 4, 5])
    return Task(scene, whole_region(scene, capture), fast_rasterizer, capture, budget=Budget(600, 100_000))


def method(weights, **changes) -> GenerativeDensification:
    return GenerativeDensification(DensificationSettings(weights=weights, **changes))


def check(patch: Patch, task: Task) -> None:
    """It can be applied, and every added Gaussian stands in the place of a removed one of the region."""
    assert len(patch.added) == len(patch.parents)
    assert set(patch.parents.tolist()) == set(patch.removed.tolist())
    assert bool(task.region.selected[patch.removed].all())
    assert all(bool(tensor.isfinite().all()) for _, tensor in patch.added.tensors())
    assert patch.provenance["kind"] == "learned"


def test_a_box_is_densified_in_its_place(boxed, weights):
    patch = method(weights)(boxed, silent)
    check(patch, boxed)
    assert len(patch.added) > 2 * len(patch.removed) > 0


def test_added_gaussians_keep_to_the_budget(boxed, weights):
    task = dataclasses.replace(boxed, budget=Budget(60, 40))
    patch = method(weights, confirm_every=0)(task, silent)
    check(patch, task)
    assert 0 < len(patch.added) - len(patch.removed) <= 40


def test_a_whole_scene_at_most_doubles_and_shows_what_is_done(whole, weights):
    seen: list[Patch] = []
    task = dataclasses.replace(whole, preview=seen.append)
    patch = method(weights, tile=20)(task, silent)
    check(patch, task)
    assert len(patch.apply(task.scene)) <= 2 * len(task.scene)
    assert len(seen) > 2
    for part in seen:
        check(part, task)
    assert len(seen[0].added) < len(seen[-1].added)
    assert len(patch.provenance["photos"]) <= 5


def test_the_worst_places_are_found_without_a_box(whole, weights):
    patch = method(weights)(whole, silent)
    on_board = whole.scene.means[:, 2] < 0.5
    assert float(on_board[patch.removed].float().mean()) > 0.95 > float(on_board.float().mean())


def test_other_choices_take_other_gaussians_but_as_many(whole, weights):
    taken = {
        choose: set(method(weights, choose=choose, most=30, confirm_every=0)(whole, silent).removed.tolist())
        for choose in ("gradient", "plain-gradient", "random")
    }
    assert [len(rows) for rows in taken.values()] == [30, 30, 30]
    assert len(taken["gradient"] & taken["random"]) < 20
    assert len(taken["gradient"] & taken["plain-gradient"]) > len(taken["gradient"] & taken["random"])


def test_a_photo_kept_out_can_refuse_what_the_network_made(boxed, weights, tmp_path):
    network = Network()
    network.load_state_dict(torch_state(weights))
    for layer in network.layers:
        torch.nn.init.constant_(layer.head.out[-1].bias[7:10], 3.0)  # Everything turns bright.
    save_network(tmp_path / "bad.safetensors", network.state_dict(), CPU, {})
    task = boxed
    kept = method(tmp_path / "bad.safetensors", fit_rounds=0, confirm_every=3)(task, silent)
    trusted = method(tmp_path / "bad.safetensors", fit_rounds=0, confirm_every=0)(task, silent)
    assert len(kept.removed) < 0.5 * len(trusted.removed)


def torch_state(weights):
    from safetensors.torch import load_file

    return {key: value.float() for key, value in load_file(weights).items()}


def test_fitting_brings_what_was_made_closer_to_the_photos(whole, weights):
    forward, fitted = (method(weights, fit_rounds=rounds)(whole, silent) for rounds in (0, 10))
    check(fitted, whole)
    assert 0 < fitted.provenance["steps"] <= 10 * len(fitted.provenance["photos"])
    assert forward.provenance["steps"] == 0
    errors = [photo_error(patch.apply(whole.scene), whole) for patch in (forward, fitted)]
    assert errors[1] < 0.8 * errors[0]


def photo_error(scene, task: Task) -> float:
    photos = task.capture.photos
    renders = [task.rasterizer.render(scene, photo.camera, mode=task.mode).rgb for photo in photos]
    return sum(
        float((render - photo.load() / 255).square().mean()) for render, photo in zip(renders, photos, strict=True)
    )


def test_the_same_task_gives_the_same_patch(boxed, weights):
    first, second = (method(weights)(boxed, silent) for _ in range(2))
    torch.testing.assert_close(first.added.means, second.added.means, atol=1e-6, rtol=0)


def test_a_photo_that_shows_something_else_is_left_out(whole, weights):
    photos = list(whole.capture.photos)
    other = torch.flip(photos[1].load(), (0, 1)) // 3
    photos[1] = dataclasses.replace(photos[1], source=other)
    task = dataclasses.replace(whole, capture=dataclasses.replace(whole.capture, photos=tuple(photos)))
    names = method(weights, exposure=False)(task, silent).provenance["photos"]
    assert photos[1].name not in names
    assert len(names) == 4


def test_cancelling_stops_between_tiles(whole, weights):
    class Cancelled(Exception):
        pass

    def report(text: str, fraction: float) -> None:
        assert 0 <= fraction <= 1
        if text == "Densifying":
            raise Cancelled

    with pytest.raises(Cancelled):
        method(weights)(whole, report)


def test_without_photos_it_says_what_is_missing(whole, weights):
    with pytest.raises(NeedsMissing, match="--capture"):
        method(weights)(dataclasses.replace(whole, capture=None), silent)


def test_shares_say_how_many_children_there_will_be():
    assert children_of_each(1.0) == 8
    assert children_of_each(0.8) == pytest.approx(6.8)
    assert children_of_each(0.0) == 2


def test_it_is_in_the_menu_once_its_weights_are_released():
    try:
        found = find_method("generative-densification")
    except MethodError:
        pytest.skip("its weights are not released yet")
    assert {scope.name for scope in found.scopes} == {"REGION", "SCENE"}
