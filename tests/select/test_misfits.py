"""Which photos contradict the scene."""

import dataclasses

import pytest
import torch
from scenes import Board

from gaussian_lens_app.raster import ANTIALIASED
from gaussian_lens_app.scene import Box, Photo
from gaussian_lens_app.select import select_region
from gaussian_lens_app.select.misfits import misfits, outliers
from gaussian_lens_app.upgrade import UpgradeRequest, upgrade

MIDDLE = (80, 60, 160, 120)


@pytest.fixture(name="sharp")
def a_scene_that_explains_its_photos(textured_board) -> Board:
    return dataclasses.replace(textured_board, scene=textured_board.truth)


def with_photo(board: Board, index: int, **changes) -> Board:
    """The board with one photo or its camera replaced."""
    photos = list(board.capture.photos)
    photos[index] = dataclasses.replace(photos[index], **changes)
    return dataclasses.replace(board, capture=dataclasses.replace(board.capture, photos=tuple(photos)))


def other(photo: Photo) -> torch.Tensor:
    """Its negative: pixels of something else, as a wrong camera sees them."""
    return 255 - photo.load()


def found(board: Board, rasterizer, most: int | None = None) -> list[str]:
    box = Box(board.capture.photos[2].camera, MIDDLE)
    views = select_region(board.scene, box, board.capture, rasterizer).views[:most]
    assert len(views) == (most or len(board.capture))
    wrong = misfits(board.scene, views, board.capture, rasterizer, ANTIALIASED)
    return [board.capture.photos[view.photo].name for view in wrong]


def test_photos_that_agree_with_the_scene_are_no_misfits(sharp, fast_rasterizer):
    assert found(sharp, fast_rasterizer) == []


def test_a_photo_with_a_wrong_camera_is_one(sharp, fast_rasterizer):
    photo = sharp.capture.photos[3]
    assert found(with_photo(sharp, 3, source=other(photo)), fast_rasterizer) == [photo.name]


def test_a_darker_photo_is_none(sharp, fast_rasterizer):
    photo = sharp.capture.photos[3]
    darker = (photo.load().float() * 0.7).to(torch.uint8)
    assert found(with_photo(sharp, 3, source=darker), fast_rasterizer) == []


@pytest.mark.parametrize("sigma", [1.0, 4.0])
def test_a_photo_with_a_little_noise_is_none_however_well_the_others_fit(sharp, fast_rasterizer, sigma):
    pixels = sharp.capture.photos[2].load().float()
    noise = sigma * torch.randn(pixels.shape, generator=torch.Generator().manual_seed(0))
    noisy = (pixels + noise).round().clamp(0, 255).to(torch.uint8)
    assert found(with_photo(sharp, 2, source=noisy), fast_rasterizer) == []


def test_of_two_photos_none_says_which_is_wrong(sharp, fast_rasterizer):
    photo = sharp.capture.photos[2]
    mistaken = with_photo(sharp, 2, source=other(photo))
    assert found(mistaken, fast_rasterizer, most=2) == []


def test_photos_with_nothing_to_compare_are_neither_misfits_nor_a_measure_for_others():
    assert outliers(torch.tensor([1.0, 1.2, float("nan"), 0.9, 7.0])).tolist() == [False, False, False, False, True]


def test_an_upgrade_leaves_a_misfit_out_of_fit_and_judgement_and_says_so(sharp, fast_rasterizer):
    camera = sharp.capture.photos[2].camera
    ranked = select_region(sharp.scene, Box(camera, MIDDLE), sharp.capture, fast_rasterizer).views
    for rank in (0, 3):  # the best photo, and the one that would judge
        wrong = sharp.capture.photos[ranked[rank].photo]
        capture = with_photo(sharp, ranked[rank].photo, source=other(wrong)).capture
        request = UpgradeRequest(sharp.scene, Box(camera, MIDDLE), capture, "refine:local.steps=12", fast_rasterizer)
        result = upgrade(request)
        told = result.patch.provenance
        assert told["left_out"] == [wrong.name]
        assert wrong.name not in told["photos"] + told["glimpses"]
        assert result.verdict.photo != wrong.name
        assert f"Left out: {wrong.name}, which does not fit the scene" in result.verdict.sentence
