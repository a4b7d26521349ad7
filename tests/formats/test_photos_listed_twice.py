"""A list of cameras that names a photo twice: every photo of a capture has a name of its own."""

import numpy as np
import pytest
from pictures import PINHOLE, colmap_text, inria_json, poses, transforms_json, write_photos

from gaussian_lens_app.formats import load_capture


@pytest.mark.parametrize(
    ("write", "again", "first"),
    [
        (transforms_json, "view_0.png", 0),
        (transforms_json, "view_0", 0),
        (inria_json, "view_0.png", 0),
        (colmap_text, "view_0.png", 1),  # which stands before the other in that file
    ],
)
def test_a_photo_listed_twice_is_there_once_with_its_first_camera_and_a_note_says_so(tmp_path, write, again, first):
    write_photos(tmp_path / "images", PINHOLE)
    write(tmp_path, PINHOLE, ["view_0.png", again, "view_2.png"])
    capture = load_capture(tmp_path)
    assert [photo.name for photo in capture.photos] == ["view_0.png", "view_2.png"]
    np.testing.assert_allclose(capture.photos[0].camera.viewmat.numpy(), poses()[first], atol=1e-6)
    assert capture.notes == ("1 photo is listed more than once; its first camera was taken: view_0.png.",)


def test_a_missing_photo_listed_twice_is_missing_once(tmp_path):
    write_photos(tmp_path / "images", PINHOLE)
    transforms_json(tmp_path, PINHOLE, ["gone.png", "gone.png", "view_2.png"])
    assert "1 of 2 photos are missing and were left out: gone.png." in load_capture(tmp_path).notes
