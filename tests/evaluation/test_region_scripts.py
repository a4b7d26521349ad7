"""scripts/measure_region_masks and scripts/picture_gaussian_lens: methods get what an upgrade would give them."""

import dataclasses
from pathlib import Path

import pytest
import torch
from programs import program
from scenes import Board

from gaussian_lens_app.errors import GsrError
from gaussian_lens_app.evaluation.modes import Input
from gaussian_lens_app.raster import ANTIALIASED, CLASSIC, Rasterizer, RenderMode
from gaussian_lens_app.scene import Box, Capture

MIDDLE = (80, 60, 160, 120)
AWAY = torch.diag(torch.tensor([-1.0, 1.0, -1.0, 1.0]))
"""Turns a camera round."""


class Noting:
    """A rasterizer that notes the modes it is asked to draw in."""

    def __init__(self, inner: Rasterizer):
        self.inner, self.modes, self.name, self.device = inner, [], inner.name, inner.device

    def render(self, *args, mode: RenderMode = ANTIALIASED, **how):
        self.modes.append(mode)
        return self.inner.render(*args, mode=mode, **how)

    def contributions(self, *args, mode: RenderMode = ANTIALIASED, **how):
        self.modes.append(mode)
        return self.inner.contributions(*args, mode=mode, **how)


@pytest.fixture(scope="module")
def masks():
    return program("measure_region_masks")


@pytest.fixture(name="board")
def a_board_with_one_wrong_photo(textured_board) -> Board:
    """The fourth photo shows something else: its own negative."""
    photos = list(textured_board.capture.photos)
    photos[3] = dataclasses.replace(photos[3], source=255 - photos[3].load())
    return dataclasses.replace(textured_board, scene=textured_board.truth, capture=Capture(tuple(photos)))


def drawn(masks, board: Board, test: Capture, rasterizer: Rasterizer, mode: RenderMode = ANTIALIASED) -> list:
    settings = masks.Settings(Path(), Path(), regions=2)
    return list(masks.regions(board.scene, board.capture, test, rasterizer, mode, settings))


def test_photos_that_contradict_the_scene_stay_out_of_the_regions_that_are_measured(masks, board, fast_rasterizer):
    found = drawn(masks, board, board.capture.only([2]), fast_rasterizer)
    assert len(found) == 2
    for _, region, _ in found:
        assert region.views
        assert 3 not in {view.photo for view in region.views}


def test_regions_are_selected_and_masked_in_the_mode_that_upgrades_start_in(masks, board, fast_rasterizer):
    noting = Noting(fast_rasterizer)
    drawn(masks, board, board.capture.only([2]), noting, CLASSIC)
    assert {mode.antialiased for mode in noting.modes} == {CLASSIC.antialiased}


def test_test_photos_that_look_elsewhere_end_the_measurement_with_a_sentence(masks, board, fast_rasterizer):
    photo = board.capture.photos[2]
    camera = dataclasses.replace(photo.camera, viewmat=AWAY @ photo.camera.viewmat)
    away = Capture((dataclasses.replace(photo, camera=camera),))
    with pytest.raises(GsrError, match="no test photo shows"):
        drawn(masks, board, away, fast_rasterizer)


def test_photos_that_contradict_the_scene_stay_out_of_what_is_pictured(board, fast_rasterizer):
    pictures = program("picture_gaussian_lens")
    given = Input(board.scene, "classic", CLASSIC, {}, board.scene, CLASSIC)
    box = Box(board.capture.photos[2].camera, MIDDLE)
    task = pictures.task_of(given, box, board.capture, fast_rasterizer, 1.0)
    assert task.mode == CLASSIC
    assert task.region.views
    assert 3 not in {view.photo for view in task.region.views}
