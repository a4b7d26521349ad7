import dataclasses

import pytest
import torch
from scenes import board, camera_at

from gaussian_lens_app.errors import NeedsMissing
from gaussian_lens_app.jobs.report import silent
from gaussian_lens_app.methods import Budget, Scope, Task, sr3r_fit
from gaussian_lens_app.methods.base import Glimpse
from gaussian_lens_app.methods.sr3r import SR3R, SR3RSettings
from gaussian_lens_app.methods.sr3r_fit import LowFitSettings
from gaussian_lens_app.methods.sr3r_tiles import TileSettings
from gaussian_lens_app.networks.heads import HeadConfig
from gaussian_lens_app.networks.sr3r import CPU
from gaussian_lens_app.networks.sr3r import SR3R as Network
from gaussian_lens_app.networks.weights import save_network
from gaussian_lens_app.optimize.local import fit_local
from gaussian_lens_app.raster.cpu import CpuRasterizer
from gaussian_lens_app.scene import Box, Kind
from gaussian_lens_app.select import select_region, whole_region
from gaussian_lens_app.select.small_views import small_view

RASTERIZER = CpuRasterizer()


def weights_file(path, config):
    torch.manual_seed(0)
    save_network(path, Network(config).state_dict(), config, {})
    return path


@pytest.fixture(scope="module")
def scene():
    return board(RASTERIZER, photos=5, width=96, coarse=24)


@pytest.fixture(scope="module")
def gated(tmp_path_factory):
    """An untrained network: residuals are zero, gradients' proposals are not."""
    return weights_file(tmp_path_factory.mktemp("sr3r") / "gated.safetensors", CPU)


@pytest.fixture(scope="module")
def silent_network(tmp_path_factory):
    """The paper's start: zero residuals and nothing else, and no split."""
    config = dataclasses.replace(CPU, split=False, head=HeadConfig(gates=False))
    return weights_file(tmp_path_factory.mktemp("sr3r") / "silent.safetensors", config)


def whole_task(made, **changes):
    start = dataclasses.replace(made.scene, sh0=made.scene.sh0 * 0.7)  # too grey: something to learn from photos
    task = Task(start, whole_region(start, made.capture), RASTERIZER, made.capture, budget=Budget(60, 50_000))
    return dataclasses.replace(task, **changes)


def method(weights, rounds=0, **changes):
    """The forward pass alone, unless rounds of fitting are asked for."""
    fit = LowFitSettings(rounds=rounds)
    return SR3R(SR3RSettings(weights=weights, tiles=TileSettings(gaussians=200), fit=fit, **changes))


def error(made, scene):
    photo = made.capture.photos[2]
    rgb = RASTERIZER.render(scene, photo.camera).rgb
    return float((rgb - photo.load().float() / 255).square().mean())


def test_a_network_that_says_nothing_changes_nothing(scene, silent_network):
    task = whole_task(scene)
    patch = method(silent_network)(task, silent)
    after = patch.apply(task.scene)
    back = patch.sources(len(task.scene))
    assert len(after) == len(task.scene)
    parents = torch.where(back >= 0, back, -1)
    parents[back < 0] = patch.parents
    for name, values in after.tensors():
        before = getattr(task.scene, name)[parents]
        if name == "quats":
            before, values = (torch.nn.functional.normalize(one, dim=-1) for one in (before, values))
        torch.testing.assert_close(values, before, atol=1e-5, rtol=1e-4)


def test_a_whole_scene_comes_nearer_to_its_photos_and_undo_brings_it_back(scene, gated):
    task = whole_task(scene)
    patch = method(gated)(task, silent)
    after = patch.apply(task.scene)
    assert len(after) > 2 * len(task.scene)
    assert error(scene, after) < 0.9 * error(scene, task.scene)
    assert patch.provenance["kind"] == "learned"
    assert patch.provenance["photos"] == [photo.name for photo in scene.capture.photos]
    restored = patch.inverse(task.scene).apply(after)
    assert all(torch.equal(values, getattr(task.scene, name)) for name, values in restored.tensors())


def test_pieces_arrive_one_by_one_and_the_last_is_the_result(scene, gated):
    seen = []
    patch = method(gated)(whole_task(scene, preview=seen.append), silent)
    assert len(seen) > 1
    assert [len(one.removed) for one in seen] == sorted(len(one.removed) for one in seen)
    assert torch.equal(seen[-1].removed, patch.removed)
    assert patch.provenance["parts"] == [len(seen), len(seen)]


def boxed_task(made, capture):
    box = Box(camera_at(0.0, width=96), (30, 20, 60, 50))
    task = whole_task(made, box=box, capture=capture)
    return dataclasses.replace(task, region=select_region(task.scene, box, capture, RASTERIZER))


@pytest.mark.parametrize("rounds", [0, 5])
def test_a_box_leaves_all_else_alone(scene, gated, rounds):
    task = boxed_task(scene, scene.capture)
    patch = method(gated, rounds)(task, silent)
    assert len(patch.removed) > 0
    assert bool(task.region.selected[patch.removed].all())
    assert len(patch.added) == len(patch.parents)
    assert bool(task.region.selected[patch.parents].all())


def test_fitting_brings_what_the_network_made_nearer_to_the_photos(scene, gated):
    task = whole_task(scene)
    forward, fitted = (method(gated, rounds)(task, silent) for rounds in (0, 20))
    assert fitted.provenance["steps"] == 20 * len(scene.capture)
    assert fitted.provenance["fitted_to"] == [photo.name for photo in scene.capture.photos]
    assert "steps" not in forward.provenance
    errors = [error(scene, patch.apply(task.scene)) for patch in (forward, fitted)]
    assert errors[1] < 0.8 * errors[0]
    assert set(forward.removed.tolist()) <= set(fitted.removed.tolist())


@pytest.mark.parametrize("box", [True, False])
def test_large_photos_are_fitted_to_as_small_as_they_were_looked_at(scene, gated, box, monkeypatch):
    sizes = []

    def looked_at(problem, start, *others, **more):
        sizes.extend(max(window.camera.width, window.camera.height) for window in problem.windows)
        return fit_local(problem, start, *others, **more)

    monkeypatch.setattr(sr3r_fit, "fit_local", looked_at)
    task = boxed_task(scene, scene.capture) if box else whole_task(scene)
    patch = method(gated, 1, long_side=48)(task, silent)
    assert patch.provenance["photo_long_side"] == 48
    assert set(sizes) == {48}
    assert len(sizes) == len(patch.provenance["fitted_to"])


def test_without_time_or_pixels_for_a_fit_what_the_network_made_is_kept(scene, gated):
    hurried = method(gated, 5)(whole_task(scene, budget=Budget(1e-6, 50_000)), silent)
    task = boxed_task(scene, scene.capture)
    views = tuple(dataclasses.replace(view, mask=torch.zeros_like(view.mask)) for view in task.region.views)
    unseen = dataclasses.replace(task, region=dataclasses.replace(task.region, views=views))
    for patch in (hurried, method(gated, 5)(unseen, silent)):
        assert "steps" not in patch.provenance
        assert len(patch.added) > len(patch.removed) > 0


def test_what_the_network_made_and_what_was_only_fitted_are_told_apart(scene, gated):
    task = whole_task(scene)
    forward, fitted = (method(gated, rounds)(task, silent) for rounds in (0, 2))
    assert int((fitted.kinds == Kind.LEARNED).sum()) == len(forward.added)
    assert int((fitted.kinds == Kind.FITTED).sum()) == len(fitted.added) - len(forward.added)


def test_glimpses_of_photos_kept_out_are_named_as_such(scene, gated):
    task = whole_task(scene)
    kept = task.region.views[2]
    photo = scene.capture.photos[2]
    small, seen = small_view(photo, kept, 2.0)
    left = dataclasses.replace(task, capture=scene.capture.only([0, 1, 3, 4]), glimpses=(Glimpse(small, seen),))
    left = dataclasses.replace(left, region=whole_region(task.scene, left.capture))
    patch = method(gated, 1)(left, silent)
    assert patch.provenance["glimpses"] == [photo.name]
    assert photo.name not in patch.provenance["fitted_to"]


def test_the_second_half_of_the_fit_is_shown(scene, gated):
    seen = []
    patch = method(gated, 20)(whole_task(scene, preview=seen.append), silent)
    fits = [one for one in seen if len(one.removed) == len(patch.removed) and len(one.added) == len(patch.added)]
    assert 0 < len(fits) <= 2 + 20 * len(scene.capture) // 25 // 2
    assert all(len(one.added) == len(one.parents) for one in seen)


def test_a_fit_does_not_outlast_the_seconds(scene, gated):
    fit = method(gated, 10_000)(whole_task(scene, budget=Budget(seconds=3.0, gaussians=50_000)), silent)
    assert fit.provenance["steps"] < 10_000 * len(scene.capture)


def test_pictures_that_the_scene_took_itself_are_not_fitted_to(scene, gated):
    patch = method(gated, 5)(boxed_task(scene, None), silent)
    assert patch.provenance["kind"] == "derived"
    assert "steps" not in patch.provenance


def test_without_photos_it_takes_its_own_and_says_so(scene, gated):
    camera = camera_at(0.0, width=96)
    box = Box(camera, (20, 10, 76, 60))
    task = whole_task(scene, box=box, capture=None)
    region = select_region(task.scene, box, None, RASTERIZER)
    patch = method(gated)(dataclasses.replace(task, region=region), silent)
    assert patch.provenance["kind"] == "derived"
    assert patch.provenance["photos"] == []
    assert len(patch.added) > len(patch.removed) > 0


def test_seconds_and_gaussians_are_kept_to(scene, gated):
    few = method(gated)(whole_task(scene, budget=Budget(seconds=1e-6, gaussians=100)), silent)
    assert few.provenance["parts"][0] == 1
    full = method(gated)(whole_task(scene, budget=Budget(seconds=60, gaussians=100)), silent)
    assert len(full.added) - len(full.removed) <= 100


@pytest.mark.parametrize("rounds", [0, 5])
def test_what_no_photo_shows_stays_as_it_is(scene, gated, rounds):
    """Gaussians behind the cameras."""
    task = whole_task(scene)
    behind = task.scene.take(torch.arange(10))
    behind = dataclasses.replace(behind, means=behind.means - torch.tensor([0.0, 0.0, 40.0]))
    joined = type(task.scene).concat([task.scene, behind])
    task = dataclasses.replace(task, scene=joined, region=whole_region(joined, scene.capture))
    patch = method(gated, rounds)(task, silent)
    assert int(patch.removed.max()) < len(joined) - 10


def test_photos_that_look_elsewhere_are_refused_with_what_to_do(scene, gated):
    away = dataclasses.replace(scene.scene, means=scene.scene.means - torch.tensor([0.0, 0.0, 40.0]))
    task = whole_task(scene, scene=away, region=whole_region(away, scene.capture))
    with pytest.raises(NeedsMissing, match="No two photos"):
        method(gated)(task, silent)


def test_it_works_on_boxes_and_scenes():
    assert set(SR3R.scopes) == {Scope.REGION, Scope.SCENE}
