import dataclasses

import pytest
import torch

from gaussian_lens_app.evaluation.judge import JudgeSettings, Verdict, block_gain, judge, judge_low_resolution, pooled
from gaussian_lens_app.raster import ANTIALIASED, for_device
from gaussian_lens_app.scene import Gaussians, PhotoView
from tests.scenes import Board, board

RECT = (80, 60, 160, 120)


@pytest.fixture(scope="module")
def rasterizer():
    return for_device("cpu")


@pytest.fixture(scope="module")
def scene(rasterizer) -> Board:
    return board(rasterizer)


def view(photo: int) -> PhotoView:
    return PhotoView(photo, RECT, torch.ones(60, 80, dtype=torch.bool), 1, 1, 1, 1)


def test_what_looks_more_like_the_photo_is_accepted_with_its_gain_and_noise(scene, rasterizer):
    verdict = judge(scene.scene, scene.truth, scene.capture, view(2), rasterizer, ANTIALIASED)
    assert verdict.accepted
    assert verdict.verified
    assert verdict.gain_db > 5
    assert 0 < verdict.noise_db < verdict.gain_db
    assert "photo_02.png" in verdict.sentence


def test_a_photo_whose_camera_is_a_pixel_off_says_the_same(scene, rasterizer):
    generator = torch.Generator().manual_seed(0)
    noise = 0.3 * torch.randn(scene.truth.sh0.shape, generator=generator)
    noisy = dataclasses.replace(scene.truth, sh0=scene.truth.sh0 + noise)
    photo = scene.capture.photos[2]
    off = dataclasses.replace(photo, camera=photo.camera.shifted(torch.tensor([1.2, -1.0])))
    photos = tuple(off if i == 2 else one for i, one in enumerate(scene.capture.photos))
    captures = scene.capture, dataclasses.replace(scene.capture, photos=photos)
    right, wrong = (judge(noisy, scene.truth, one, view(2), rasterizer, ANTIALIASED) for one in captures)
    assert right.gain_db > 10
    assert abs(wrong.gain_db - right.gain_db) < 1


def test_what_looks_less_like_the_photo_is_refused_and_says_so(scene, rasterizer):
    verdict = judge(scene.truth, scene.scene, scene.capture, view(2), rasterizer, ANTIALIASED)
    assert not verdict.accepted
    assert verdict.sentence.startswith("Not swapped in: -")


def test_no_change_is_not_an_improvement(scene, rasterizer):
    verdict = judge(scene.scene, scene.scene, scene.capture, view(2), rasterizer, ANTIALIASED)
    assert verdict.gain_db == 0
    assert not verdict.accepted
    lost = pooled([dataclasses.replace(verdict, gain_db=-0.001)])
    assert "-0.00" not in lost.sentence


def test_a_gain_in_one_block_of_many_is_mostly_noise():
    before, after = torch.full((64, 64), 0.01), torch.full((64, 64), 0.0101)
    after[:16, :16] = 0.001
    mask = torch.ones(64, 64, dtype=torch.bool)
    gain, noise = block_gain(before, after, mask, JudgeSettings())
    even_gain, even_noise = block_gain(before, 0.9 * before, mask, JudgeSettings())
    assert noise > 0.5 * gain > 0
    assert even_noise == pytest.approx(0, abs=1e-6)
    assert even_gain == pytest.approx(0.4576, abs=1e-3)


def test_pixels_outside_the_mask_do_not_count():
    before, after = torch.full((32, 32), 0.01), torch.full((32, 32), 0.005)
    after[:, 16:] = 1.0
    mask = torch.zeros(32, 32, dtype=torch.bool)
    mask[:, :16] = True
    assert block_gain(before, after, mask, JudgeSettings())[0] == pytest.approx(3.01, abs=0.01)


@pytest.mark.parametrize("side", [1, 3, 7, 14, 16])
def test_pixels_that_differ_by_chance_are_no_gain_in_a_tiny_window(side):
    """With one block there was nothing to resample: the noise was 0, and every other window looked sharper."""
    mask, taken = torch.ones(side, side, dtype=torch.bool), 0
    for seed in range(200):
        before, after = torch.rand(2, side, side, generator=torch.Generator().manual_seed(seed))
        gain, noise = block_gain(before, after, mask, JudgeSettings())
        assert noise > 0
        taken += gain > noise
    assert taken < 60  # of large windows one in six


def test_few_pixels_of_a_large_window_are_resampled_in_smaller_blocks_too():
    before, after = torch.rand(2, 128, 128, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(128, 128, dtype=torch.bool)
    mask[50:60, 50:60] = True
    assert block_gain(before, after, mask, JudgeSettings())[1] > 0.3


def test_windows_of_sixteen_blocks_and_more_keep_the_blocks_of_the_settings():
    generator = torch.Generator().manual_seed(0)
    before, after = torch.rand(2, 64, 64, generator=generator)
    mask = torch.rand(64, 64, generator=generator) > 0.3
    assert block_gain(before, after, mask, JudgeSettings()) == pytest.approx((-0.0605384812, 0.0723417414), abs=1e-6)


def test_two_folds_are_one_verdict_of_their_mean():
    fold = Verdict(True, True, 1.0, 0.2, "a.png", "")
    verdict = pooled([fold, dataclasses.replace(fold, gain_db=-0.9, photo="b.png")])
    assert verdict.gain_db == pytest.approx(0.05)
    assert not verdict.accepted
    assert "a.png and b.png" in verdict.sentence


def test_low_resolution_photos_only_refuse_what_contradicts_them(scene, rasterizer):
    faded: Gaussians = dataclasses.replace(scene.scene, sh0=scene.scene.sh0 * 0.5)
    agree = judge_low_resolution(scene.scene, [(scene.truth, view(1))], scene.capture, rasterizer, ANTIALIASED)
    contradict = judge_low_resolution(scene.scene, [(faded, view(1))], scene.capture, rasterizer, ANTIALIASED)
    assert agree.accepted
    assert not agree.verified
    assert "detail not verified" in agree.sentence
    assert not contradict.accepted


def test_a_scene_and_photos_that_are_black_agree(scene, rasterizer):
    black = dataclasses.replace(scene.truth, sh0=torch.full_like(scene.truth.sh0, -5.0))
    dark = tuple(dataclasses.replace(one, source=torch.zeros_like(one.load())) for one in scene.capture.photos)
    capture = dataclasses.replace(scene.capture, photos=dark)
    verdict = judge_low_resolution(black, [(black, view(1))], capture, rasterizer, ANTIALIASED)
    assert verdict.accepted
    assert verdict.gain_db == 0
