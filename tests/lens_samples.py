"""A region of the textured board, ready for GaussianLens; shared by its tests."""

from __future__ import annotations

from scenes import Board

from gaussian_lens_app.methods import Budget, Task
from gaussian_lens_app.methods.gaussian_lens_inputs import LensInputs, pixel_layer
from gaussian_lens_app.methods.pixel_gaussians import PixelSettings
from gaussian_lens_app.methods.targets import make_target, surroundings
from gaussian_lens_app.raster import ANTIALIASED, Rasterizer
from gaussian_lens_app.scene import Box
from gaussian_lens_app.select import select_region

MIDDLE = (80, 60, 160, 120)


def lens_task(board: Board, rasterizer: Rasterizer, photos: tuple[int, ...] = (0, 1, 3, 4, 5)) -> Task:
    """A box in the middle; the third photo is kept from the method."""
    box, capture = Box(board.capture.photos[2].camera, MIDDLE), board.capture.only(list(photos))
    region = select_region(board.scene, box, capture, rasterizer)
    return Task(board.scene, region, rasterizer, capture, box, budget=Budget(seconds=60))


def lens_inputs(task: Task, photos: int = 3, stride: int = 3) -> LensInputs:
    assert task.capture is not None
    views = task.region.views[:photos]
    windows = [make_target(task.scene, task.capture, view, task.rasterizer, task.mode) for view in views]
    new, _ = pixel_layer(windows, 2, stride, 5000, PixelSettings())
    selected = task.region.selected
    return LensInputs(
        surroundings(task.scene, selected, windows), task.scene.take(selected), new, tuple(windows), ANTIALIASED
    )
