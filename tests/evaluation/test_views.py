"""Pictures written for `gsr render`."""

import imageio.v3 as iio
import pytest
import torch

from gaussian_lens_app.errors import ExportError
from gaussian_lens_app.evaluation.views import picture_places, render_views
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


@pytest.mark.parametrize(
    ("names", "places"),
    [
        (["left/0001.jpg", "right/0001.jpg"], ["left/0001.png", "right/0001.png"]),
        (["left\\1.jpg", "./right//1.jpg"], ["left/1.png", "right/1.png"]),
        (["../up/1.jpg", "/root/1.jpg", "a/../../1.jpg"], ["up/1.png", "root/1.png", "a/1.png"]),
        (["C:/photos/1.jpg", "C:\\photos\\2.jpg"], ["photos/1.png", "photos/2.png"]),
        (["1.jpg", "1.png", "1.tif", "../1.jpg"], ["1.png", "1_2.png", "1_3.png", "1_4.png"]),
        (["1.jpg", "1_2.jpg", "1.png"], ["1.png", "1_2.png", "1_3.png"]),
        (["A.jpg", "a.jpg"], ["A.png", "a_2.png"]),
        (["\0", "..", "step 0.25", "step 0.5"], ["picture.png", "picture_2.png", "step 0.png", "step 0_2.png"]),
    ],
)
def test_each_name_has_a_place_of_its_own_under_the_folder(tmp_path, names, places):
    assert [place.as_posix() for place in picture_places(names)] == places


def test_pictures_of_equal_names_in_different_folders_are_all_written(tmp_path):
    made = board(RASTERIZER, fine=8, coarse=4, photos=2, width=8)
    sides = zip(("left", "right"), made.capture.photos, strict=True)
    paths = render_views(made.truth, [(f"{side}/1.jpg", photo.camera) for side, photo in sides], RASTERIZER, tmp_path)
    assert paths == [tmp_path / "left" / "1.png", tmp_path / "right" / "1.png"]
    for path, photo in zip(paths, made.capture.photos, strict=True):
        assert torch.equal(torch.from_numpy(iio.imread(path)), photo.load())


def test_a_file_where_the_folder_should_be_is_told(tmp_path):
    made = board(RASTERIZER, fine=8, coarse=4, photos=1, width=8)
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ExportError, match=r"out was not written: .*choose another"):
        render_views(made.truth, [("a", made.capture.photos[0].camera)], RASTERIZER, tmp_path / "out")
