"""The ceiling: better than the input on its photos, and made once."""

import pytest
import torch

from gaussian_lens_app.evaluation.ceiling import FullSettings, full_scene
from gaussian_lens_app.evaluation.modes import mean_psnr
from gaussian_lens_app.raster import ANTIALIASED
from gaussian_lens_app.raster.reference import ReferenceRasterizer
from tests.scenes import board

RASTERIZER = ReferenceRasterizer()
SETTINGS = FullSettings(steps=80, max_gaussians=300)


@pytest.fixture(scope="module")
def made():
    return board(RASTERIZER, fine=24, coarse=8, photos=3, width=48)


def test_the_ceiling_beats_the_input_on_its_photos(made, tmp_path):
    full = full_scene(made.scene, made.capture, ANTIALIASED, RASTERIZER, SETTINGS, folder=tmp_path)
    figures = [mean_psnr(scene, made.capture, RASTERIZER, ANTIALIASED) for scene in (made.scene, full)]
    assert figures[1] > figures[0] + 1


def test_it_is_made_once_for_the_same_photos_and_again_for_others(made, tmp_path):
    def make(capture):
        return full_scene(made.scene, capture, ANTIALIASED, RASTERIZER, FullSettings(steps=2), folder=tmp_path)

    first, again = make(made.capture), make(made.capture)
    assert torch.equal(first.means, again.means)
    assert len(list(tmp_path.iterdir())) == 1
    make(made.capture.only([0, 1]))
    assert len(list(tmp_path.iterdir())) == 2
