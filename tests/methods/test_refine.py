import dataclasses
import math

import pytest
import torch

from gaussian_lens_app.errors import JobCancelled, MethodError, NeedsMissing, NothingSelected
from gaussian_lens_app.jobs.report import silent
from gaussian_lens_app.methods import METHODS, Budget, Task, find_method
from gaussian_lens_app.methods.depth_check import DepthCheckSettings, check_depths
from gaussian_lens_app.methods.pixel_gaussians import PixelSettings, pixel_gaussians
from gaussian_lens_app.methods.refine import FitOnly, Pixels, Refine, RefineSettings
from gaussian_lens_app.methods.targets import make_target
from gaussian_lens_app.optimize.local import LocalFitSettings
from gaussian_lens_app.raster import for_device
from gaussian_lens_app.scene import Box, Gaussians
from gaussian_lens_app.select import select_region
from tests.scenes import Board, board, window_psnr_gain

MIDDLE = (80, 60, 160, 120)
QUICK = RefineSettings(local=LocalFitSettings(steps=20))


@pytest.fixture(scope="module")
def rasterizer():
    return for_device("cpu")


@pytest.fixture(scope="module")
def scene(rasterizer) -> Board:
    return board(rasterizer)


@pytest.fixture(scope="module")
def task(scene, rasterizer) -> Task:
    """A box in the middle; the third photo is kept from the method."""
    viewer = scene.capture.photos[2].camera
    capture = scene.capture.only([0, 1, 3, 4, 5])
    region = select_region(scene.scene, Box(viewer, MIDDLE), capture, rasterizer)
    return Task(scene.scene, region, rasterizer, capture, Box(viewer, MIDDLE), budget=Budget(seconds=30))


def gain(scene: Board, patched: Gaussians, rasterizer) -> float:
    return window_psnr_gain(scene.scene, patched, scene.capture.photos[2], MIDDLE, rasterizer)


def test_refine_sharpens_what_a_photo_it_did_not_see_shows(scene, task, rasterizer):
    patch = Refine(QUICK)(task, silent)
    assert gain(scene, patch.apply(scene.scene), rasterizer) > 2.0


def test_pixels_alone_do_not_veil(scene, task, rasterizer):
    patch = Pixels(QUICK)(task, silent)
    assert len(patch.removed) == 0
    assert len(patch.added) > 100
    assert gain(scene, patch.apply(scene.scene), rasterizer) > 0


def test_fit_only_keeps_the_number_of_gaussians(scene, task, rasterizer):
    patch = FitOnly(QUICK)(task, silent)
    assert len(patch.added) == len(patch.removed) == task.region.count
    assert gain(scene, patch.apply(scene.scene), rasterizer) > 0.5


@pytest.mark.parametrize("method", [Refine(QUICK), FitOnly(QUICK), Pixels(QUICK)])
def test_what_is_not_selected_keeps_its_bits(method, scene, task):
    patch = method(task, silent)
    edited, sources = patch.apply(scene.scene), patch.sources(len(scene.scene))
    survivors = sources >= 0
    assert set((~task.region.selected).nonzero()[:, 0].tolist()) <= set(sources[survivors].tolist())
    for (_, new), (_, old) in zip(edited.tensors(), scene.scene.tensors(), strict=True):
        assert torch.equal(new[survivors], old[sources[survivors]])


def test_refined_gaussians_know_their_parents(task):
    patch = Refine(QUICK)(task, silent)
    old = patch.parents >= 0
    assert torch.equal(patch.parents[old], patch.removed)
    assert patch.provenance["method"] == "refine"


def test_the_budget_bounds_the_new_gaussians(task):
    patch = Pixels(QUICK)(dataclasses.replace(task, budget=Budget(gaussians=200)), silent)
    assert 0 < len(patch.added) <= 200


def test_the_budget_bounds_the_seconds(task):
    long = RefineSettings(local=LocalFitSettings(steps=100_000, patience=100_000))
    import time

    began = time.monotonic()
    Refine(long)(dataclasses.replace(task, budget=Budget(seconds=1.0)), silent)
    assert time.monotonic() - began < 3.0


def test_cancelling_stops_the_work(task):
    def cancelled(stage: str, fraction: float) -> None:
        if stage.startswith("Fitting"):
            raise JobCancelled("stopped")

    with pytest.raises(JobCancelled):
        Refine(QUICK)(task, cancelled)


def test_progress_never_falls(task):
    fractions = []
    Refine(QUICK)(task, lambda stage, fraction: fractions.append(fraction))
    assert fractions == sorted(fractions)
    assert fractions[-1] <= 1


def test_the_same_seed_gives_the_same_bits(task):
    first, second = (Refine(QUICK)(task, silent) for _ in range(2))
    assert torch.equal(first.added.means, second.added.means)


def test_missing_photos_and_empty_boxes_get_a_sentence(task):
    with pytest.raises(NeedsMissing, match="--capture"):
        Refine()(dataclasses.replace(task, capture=None), silent)
    nothing = dataclasses.replace(task.region, selected=torch.zeros_like(task.region.selected))
    with pytest.raises(NothingSelected):
        Refine()(dataclasses.replace(task, region=nothing), silent)
    unseen = dataclasses.replace(task.region, views=())
    with pytest.raises(NeedsMissing, match="No photo sees"):
        Refine()(dataclasses.replace(task, region=unseen), silent)


def test_methods_are_found_by_name_and_a_wrong_name_lists_them():
    assert find_method("refine") is METHODS["refine"]
    with pytest.raises(MethodError, match="refine, fit-only, pixels"):
        find_method("magic")


def test_more_seconds_mean_denser_gaussians_and_more_steps_and_a_gaussian_budget_caps_them():
    settings = RefineSettings()
    strides = [settings.stride(46_000, Budget(seconds)) for seconds in (1, 4, 10)]
    assert strides == sorted(strides, reverse=True)
    assert strides[0] > strides[-1] == 1
    assert settings.stride(46_000, Budget(10, gaussians=5_000)) == 4
    steps = [settings.local.within(seconds).steps for seconds in (1, 4, 10, 60)]
    assert steps == sorted(steps)
    assert steps[-1] == settings.local.steps


def test_pixels_alone_are_as_dense_as_the_gaussian_budget_allows():
    assert RefineSettings(fit=False).stride(46_000, Budget(0.1)) == 1


def test_a_gpus_second_is_worth_more_work_but_not_more_than_a_box_needs():
    seconds = (0.25, 1, 10, 20)
    assert [Budget(one).worth_on(torch.device("cpu")).seconds for one in seconds] == list(seconds)
    assert [Budget(one).worth_on(torch.device("cuda")).seconds for one in seconds] == [2, 8, 15, 20]


def test_a_stride_larger_than_the_window_adds_nothing(task):
    target = make_target(task.scene, task.capture, task.region.views[0], task.rasterizer, task.mode)
    assert len(pixel_gaussians(target, [], 10_000, PixelSettings())) == 0


@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_window_narrower_than_the_spacing_of_depth_checks_is_checked_all_the_same(task, width):
    first, second = (
        make_target(task.scene, task.capture, view, task.rasterizer, task.mode) for view in task.region.views[:2]
    )
    x0, y0, _, y1 = first.rect
    narrow = first.cut((x0, y0, x0 + width, y1))
    narrow = dataclasses.replace(narrow, mask=torch.ones_like(narrow.mask))
    assert len(pixel_gaussians(narrow, [second], 1, PixelSettings())) > 0


def test_photos_without_parallax_move_no_pixel_far(task):
    target = make_target(task.scene, task.capture, task.region.views[0], task.rasterizer, task.mode)
    x0, y0, x1, y1 = target.rect
    positions = torch.tensor([[[(x0 + x1) / 2.0, (y0 + y1) / 2.0]]])
    depths = torch.full((1, 1), 3.0)
    settings = DepthCheckSettings()
    moved, _ = check_depths(target, positions, depths, [target, target], 6, settings)
    assert abs(math.log(float(moved) / 3.0)) <= settings.farthest + 1e-5
