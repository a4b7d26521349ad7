import dataclasses

import pytest
import torch
from scenes import Board

from gaussian_lens_app.methods import Task
from gaussian_lens_app.methods.scene_windows import SceneWindowSettings, scene_windows, spread
from gaussian_lens_app.scene import Photo
from gaussian_lens_app.select import whole_region


def task(board: Board, rasterizer, photos: list[Photo] | None = None) -> Task:
    capture = board.capture
    if photos is not None:
        capture = dataclasses.replace(capture, photos=tuple(photos))
    return Task(board.scene, whole_region(board.scene, capture), rasterizer, capture)


def test_windows_are_whole_photos_no_larger_than_asked_for(textured_board, fast_rasterizer):
    side = max(textured_board.capture.photos[0].camera.width, textured_board.capture.photos[0].camera.height) // 2
    _, windows, _ = scene_windows(task(textured_board, fast_rasterizer), SceneWindowSettings(long_side=side))
    assert len(windows) == len(textured_board.capture)
    for window in windows:
        assert max(window.camera.width, window.camera.height) == side
        assert window.rect == window.camera.rect
        assert window.photo.shape[:2] == window.mask.shape == (window.camera.height, window.camera.width)
        assert bool(window.mask.all())


def test_reading_the_photos_can_be_cancelled_after_each_one(textured_board, fast_rasterizer):
    told: list[float] = []

    def report(stage: str, fraction: float) -> None:
        told.append(fraction)

    scene_windows(task(textured_board, fast_rasterizer), SceneWindowSettings(), report=report)
    assert len(told) >= 2 * len(textured_board.capture)  # each is read, then its exposure is matched
    assert told == sorted(told)
    assert 0 <= told[0] <= told[-1] <= 1


def test_a_photo_of_something_else_is_left_out(textured_board, fast_rasterizer):
    photos = list(textured_board.capture.photos)
    photos[1] = Photo(photos[1].name, photos[1].camera, 255 - photos[1].load())
    settings = SceneWindowSettings(exposure=False)
    _, windows, _ = scene_windows(task(textured_board, fast_rasterizer, photos), settings)
    assert photos[1].name not in [window.name for window in windows]
    assert len(windows) == len(photos) - 1


@pytest.mark.parametrize("what", ["scene", "photos", "both"])
def test_a_channel_that_is_black_tells_no_exposure(textured_board, fast_rasterizer, what):
    board, photos = textured_board, list(textured_board.capture.photos)
    if what in ("photos", "both"):
        photos = [Photo(photo.name, photo.camera, photo.load() * torch.tensor([1, 0, 1]).byte()) for photo in photos]
    if what in ("scene", "both"):
        sh0 = board.scene.sh0.clone()
        sh0[..., 1] = -10
        board = dataclasses.replace(board, scene=dataclasses.replace(board.scene, sh0=sh0))
    _, windows, _ = scene_windows(task(board, fast_rasterizer, photos), SceneWindowSettings(outlier=1e9))
    for window, photo in zip(windows, photos, strict=True):
        assert torch.allclose(window.photo[..., 1], photo.load()[..., 1].float() / 255)


def test_of_many_photos_some_are_taken_from_all_along_the_path(textured_board):
    views = whole_region(textured_board.scene, textured_board.capture).views
    chosen = spread(views, 3)
    assert len(chosen) == 3
    assert chosen[0] is views[0]
    assert torch.tensor([views.index(view) for view in chosen]).diff().min() >= len(views) // 3
