"""A fit of some Gaussians ends in the state that the photos kept out like best, and says how many steps that took."""

import dataclasses

import pytest
import torch

from gaussian_lens_app.jobs.report import silent
from gaussian_lens_app.optimize.local import LocalFitSettings, LocalProblem, fit_local, window_error
from gaussian_lens_app.raster import RenderMode
from gaussian_lens_app.scene import Gaussians


@dataclasses.dataclass(frozen=True, eq=False)
class Whole:
    """All of a photo as a window."""

    camera: object
    rect: tuple
    photo: torch.Tensor
    mask: torch.Tensor


@pytest.fixture
def problem(textured_board, fast_rasterizer):
    """The board's photos to fit to, one of them kept out."""
    windows = [
        Whole(
            photo.camera, photo.camera.rect, photo.load() / 255, torch.ones(photo.camera.height, photo.camera.width) > 0
        )
        for photo in textured_board.capture.photos
    ]
    return LocalProblem(Gaussians.empty(0), windows[1:], windows[:1], fast_rasterizer, RenderMode())


def fit(problem, start, steps, **how):
    return fit_local(problem, start, LocalFitSettings(steps=steps), silent, **how)


def test_steps_after_the_last_regular_look_count_too(problem, textured_board):
    start = textured_board.scene
    found = fit(problem, start, 9)
    assert found.steps == 9
    errors = [
        window_error(scene, problem.stops[0], problem.rasterizer, problem.mode) for scene in (start, found.gaussians)
    ]
    assert errors[1] < errors[0]


def test_a_fit_that_the_photo_kept_out_disagrees_with_is_the_start(problem, textured_board):
    dark = dataclasses.replace(problem.stops[0], photo=torch.zeros_like(problem.stops[0].photo))
    start = textured_board.scene
    night = dataclasses.replace(start, sh0=start.sh0 - 5)
    found = fit(dataclasses.replace(problem, stops=[dark]), night, 12)
    assert found.steps == 0
    assert torch.equal(found.gaussians.means, night.means)


def test_a_fit_that_the_clock_ends_says_how_many_steps_it_made(problem, textured_board):
    made = []
    found = fit_local(
        dataclasses.replace(problem, stops=[]), textured_board.scene, LocalFitSettings(steps=10_000),
        lambda text, fraction: made.append(fraction), seconds=0.2,
    )  # fmt: skip
    assert found.steps == len(made) < 10_000
