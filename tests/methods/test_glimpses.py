"""A photo kept for judging is shown to fits as small as the scene has seen it, and nothing beyond."""

import dataclasses
import time

import pytest
import torch

from gaussian_lens_app.jobs.report import silent
from gaussian_lens_app.methods import Budget, Task, glimpses
from gaussian_lens_app.methods.fit_scene import FitScene
from gaussian_lens_app.methods.gaussian_lens import GaussianLensRefine, LensSettings
from gaussian_lens_app.methods.glimpses import glimpse_of, splat_size
from gaussian_lens_app.methods.refine import Pixels, Refine, RefineSettings
from gaussian_lens_app.optimize.local import LocalFitSettings
from gaussian_lens_app.raster import ANTIALIASED
from gaussian_lens_app.scene import Box, Capture, Gaussians, Patch, Region
from gaussian_lens_app.select import select_region
from gaussian_lens_app.upgrade import UpgradeRequest, line, upgrade
from gaussian_lens_app.upgrade.blocks import Block
from tests.scenes import Board, board

MIDDLE = (80, 60, 160, 120)
KEPT = 2
FEW_STEPS = LocalFitSettings(steps=12)


@pytest.fixture(scope="module")
def scene(fast_rasterizer) -> Board:
    return board(fast_rasterizer)


@pytest.fixture(scope="module")
def whole(scene, fast_rasterizer) -> Task:
    """A box in the middle, all photos known."""
    box = Box(scene.capture.photos[KEPT].camera, MIDDLE)
    region = select_region(scene.scene, box, scene.capture, fast_rasterizer)
    return Task(scene.scene, region, fast_rasterizer, scene.capture, box, budget=Budget(seconds=60))


def without_kept(task: Task, capture: Capture) -> Task:
    """The task of a method from which a photo of `capture` is kept, with a glimpse of it."""
    view = next(view for view in task.region.views if view.photo == KEPT)
    glimpse = glimpse_of(capture.photos[KEPT], view, task.scene, task.region)
    assert glimpse is not None
    left = [i for i in range(len(capture)) if i != KEPT]
    views = tuple(
        dataclasses.replace(one, photo=left.index(one.photo)) for one in task.region.views if one.photo != KEPT
    )
    region = dataclasses.replace(task.region, views=views)
    return dataclasses.replace(task, region=region, capture=capture.only(left), glimpses=(glimpse,))


def changed(capture: Capture, change) -> Capture:
    photos = list(capture.photos)
    photos[KEPT] = dataclasses.replace(photos[KEPT], source=change(photos[KEPT].load()))
    return dataclasses.replace(capture, photos=tuple(photos))


def shuffled_within(block: int, picture: torch.Tensor) -> torch.Tensor:
    """The pixels of each block in another order: as a small picture it is the same."""
    height, width, channels = picture.shape
    blocks = picture.reshape(height // block, block, width // block, block, channels).permute(0, 2, 1, 3, 4)
    flat = blocks.reshape(height // block, width // block, block * block, channels)
    order = torch.randperm(block * block, generator=torch.Generator().manual_seed(0))
    mixed = flat[:, :, order].reshape(blocks.shape)
    return mixed.permute(0, 2, 1, 3, 4).reshape(picture.shape)


def test_a_glimpse_shows_the_same_part_of_a_smaller_photo(scene, whole):
    view = whole.region.views[0]
    glimpse = glimpse_of(scene.capture.photos[view.photo], view, scene.scene, whole.region)
    assert glimpse is not None
    camera, full = glimpse.photo.camera, scene.capture.photos[view.photo].camera
    assert camera.width == full.width // 4
    assert glimpse.view.mask.shape == (
        glimpse.view.rect[3] - glimpse.view.rect[1],
        glimpse.view.rect[2] - glimpse.view.rect[0],
    )
    assert [4 * value for value in glimpse.view.rect] == pytest.approx(list(view.rect), abs=8)
    assert 16 * int(glimpse.view.mask.sum()) == pytest.approx(int(view.mask.sum()), rel=0.25)


def test_a_scene_as_fine_as_its_photos_has_seen_all_of_them(scene, whole):
    view = whole.region.views[0]
    fine = dataclasses.replace(scene.scene, log_scales=scene.scene.log_scales - 2)
    assert glimpse_of(scene.capture.photos[view.photo], view, fine, whole.region) is None


@pytest.mark.parametrize(
    "method", [Refine(RefineSettings(local=FEW_STEPS)), GaussianLensRefine(LensSettings(local=FEW_STEPS, passes=1))]
)
def test_what_a_kept_photo_shows_beyond_the_glimpse_changes_nothing(method, scene, whole):
    def patched(capture):
        return method(without_kept(whole, capture), silent).added

    as_it_is = patched(scene.capture)
    shuffled = patched(changed(scene.capture, lambda picture: shuffled_within(4, picture)))
    inverted = patched(changed(scene.capture, lambda picture: 255 - picture))
    assert torch.equal(as_it_is.means, shuffled.means)
    assert not torch.equal(as_it_is.means[:10], inverted.means[:10])  # it was looked at


def test_methods_without_a_fit_take_no_glimpse(whole, scene):
    patch = Pixels()(without_kept(whole, scene.capture), silent)
    assert patch.provenance["glimpses"] == []


@pytest.mark.parametrize(("method", "told"), [("refine", "had not seen sharp"), ("pixels", "had not seen;")])
def test_the_verdict_says_what_was_seen_of_its_photo(scene, whole, fast_rasterizer, method, told):
    request = UpgradeRequest(scene.scene, whole.box, scene.capture, method, fast_rasterizer, Budget(seconds=0.5))
    result = upgrade(request)
    assert told in result.verdict.sentence
    assert result.verdict.photo not in result.patch.provenance["photos"]


def test_parts_of_a_whole_scene_are_judged_on_photos_they_have_not_seen_at_all(scene, whole, fast_rasterizer):
    region = dataclasses.replace(whole.region, views=())
    block = Block(
        number=0,
        rows=torch.arange(len(scene.scene)),
        scene=scene.scene,
        region=region,
        capture=scene.capture,
        box=whole.box,
        method="refine",
        budget=Budget(),
        mode=ANTIALIASED,
        judge=True,
        seed=0,
    )
    assert not block.request(fast_rasterizer).glimpse
    request = UpgradeRequest(
        scene.scene, whole.box, scene.capture, "refine", fast_rasterizer, Budget(seconds=0.5), glimpse=False
    )
    result = upgrade(request)
    assert "had not seen;" in result.verdict.sentence
    assert result.verdict.photo not in result.patch.provenance["glimpses"]


@pytest.fixture
def seen_whole(monkeypatch):
    """As if the board had been made from photos as large as these."""
    for module in (line, glimpses):
        monkeypatch.setattr(module, "new_to_see", lambda *_: False)


def whole_request(scene, rasterizer, method="fit-scene:rounds=4") -> UpgradeRequest:
    return UpgradeRequest(scene.scene, None, scene.capture, method, rasterizer, Budget(60, 100_000))


def test_one_of_the_photos_that_show_more_than_the_scene_has_seen_is_kept_and_verifies(scene, fast_rasterizer):
    result = upgrade(whole_request(scene, fast_rasterizer))
    assert len(result.patch.provenance["photos"]) == len(scene.capture) - 1
    assert result.verdict.verified


def test_where_the_scene_has_seen_its_photos_whole_none_is_kept_and_nothing_is_called_verified(
    scene, fast_rasterizer, seen_whole
):
    """One kept from the method would speak for the scene, which was fitted to it."""
    result = upgrade(whole_request(scene, fast_rasterizer))
    assert len(result.patch.provenance["photos"]) == len(scene.capture)
    assert result.verdict.accepted
    assert not result.verdict.verified
    assert result.verdict.sentence.endswith("dB on those it was made from); detail not verified.")


def test_a_result_that_contradicts_them_is_refused_all_the_same(scene, fast_rasterizer, seen_whole, monkeypatch):
    dark, rows = dataclasses.replace(scene.scene, sh0=scene.scene.sh0 - 1), torch.arange(len(scene.scene))
    monkeypatch.setattr(FitScene, "__call__", lambda *_: Patch(rows, dark, rows, provenance={}))
    verdict = upgrade(whole_request(scene, fast_rasterizer, "fit-scene")).verdict
    assert not verdict.accepted
    assert "contradicts" in verdict.sentence


def test_a_photo_that_contradicts_the_scene_has_no_part_in_that(scene, fast_rasterizer, seen_whole):
    photos = list(scene.capture.photos)
    noise = torch.randint(0, 2, photos[0].load().shape, generator=torch.Generator().manual_seed(0))
    photos[0] = dataclasses.replace(photos[0], source=(255 * noise).to(torch.uint8))
    wrong = dataclasses.replace(scene.capture, photos=tuple(photos))
    right, spoiled = (
        upgrade(dataclasses.replace(whole_request(scene, fast_rasterizer, "split"), capture=capture)).verdict
        for capture in (scene.capture.only([1, 2, 3, 4, 5]), wrong)
    )
    assert right.gain_db == pytest.approx(spoiled.gain_db, abs=1e-6)
    assert "made from" not in right.sentence  # `split` looks at no photo


def test_small_photos_are_judged_by_as_the_means_they_are(scene, fast_rasterizer, seen_whole, monkeypatch):
    modes = []
    judged = line.judge_low_resolution
    monkeypatch.setattr(line, "judge_low_resolution", lambda *a, **k: modes.append(a[4]) or judged(*a, **k))
    upgrade(whole_request(scene, fast_rasterizer, "split"))
    assert modes == [ANTIALIASED.averaged(4.0)]


def test_methods_for_boxes_are_judged_by_a_photo_kept_from_them_in_any_case(scene, fast_rasterizer, seen_whole):
    box = Box(scene.capture.photos[KEPT].camera, MIDDLE)
    request = UpgradeRequest(scene.scene, box, scene.capture, "refine", fast_rasterizer, Budget(1, 1000))
    assert upgrade(request).verdict.photo is not None


def splats_of_all_sizes(count: int) -> tuple[Gaussians, Region]:
    """All of them selected."""
    generator = torch.Generator().manual_seed(1)
    shapes = [(count, 3), (count, 4), (count, 3), (count,), (count, 1, 3), (count, 0, 3)]
    region = Region(torch.ones(count, dtype=torch.bool), torch.rand(count, generator=generator))
    return Gaussians(*(torch.randn(shape, generator=generator) for shape in shapes)), region


def size_of_all(scene: Gaussians, region: Region) -> float:
    middle = scene.log_scales.sort(-1).values[:, 1].exp()
    order = middle.argsort()
    weights = region.contributions[order].cumsum(0)
    return float(middle[order][int((weights < weights[-1] / 2).sum())])


def test_the_typical_size_of_very_many_splats_is_that_of_some_of_them_in_a_fraction_of_the_time():
    scene, region = splats_of_all_sizes(2_000_000)
    began = time.perf_counter()
    expected = size_of_all(scene, region)
    sorting, began = time.perf_counter() - began, time.perf_counter()
    found = splat_size(scene, region)
    assert time.perf_counter() - began < sorting / 3
    assert found == pytest.approx(expected, rel=0.01)
    assert splat_size(scene, region) == found


def test_the_typical_size_of_as_many_splats_as_a_box_or_a_small_scene_has_is_exact():
    scene, region = splats_of_all_sizes(100_000)
    assert splat_size(scene, region) == size_of_all(scene, region)
