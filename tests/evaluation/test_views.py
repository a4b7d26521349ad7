"""Pictures written for `gsr render`."""

import imageio.v3 as iio
import pytest
import torch

from gaussian_lens_app.errors import ExportError
from gaussian_lens_app.evaluation.views import render_views
from gaussian_lens_app.raster.reference import ReferenceRasterizer
from tests.scenes import board

RASTERIZER = ReferenceRasterizer()


def test_each_camera_becomes_a_picture_of_its_size(tmp_path):
    made = board(RASTERIZER, fine=8, coarse=4, photos=2, width=40)
    cameras = [(photo.name.replace(".png", ".jpg"), photo.camera) for photo in made.capture.photos]
    paths = render_views(made.truth, cameras, RASTERIZER, tmp_path / "out")
    assert [path.name for path in paths] == ["photo_00.png", "photo_01.png"]
    for path, photo in zip(paths, made.capture.photos, strict=True):
        assert torch.equal(torch.from_numpy(iio.imread(path)), photo.load())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["photo_00.png", "photo_01.png"]


def test_a_file_where_the_folder_should_be_is_told(tmp_path):
    made = board(RASTERIZER, fine=8, coarse=4, photos=1, width=8)
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ExportError, match=r"out was not written: .*choose another"):
        render_views(made.truth, [("a", made.capture.photos[0].camera)], RASTERIZER, tmp_path / "out")
