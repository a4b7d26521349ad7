"""INRIA's cameras.json, whose photos may be somewhere else."""

import json
import math

import numpy as np
import pytest
from pictures import PINHOLE, colmap_text, dot_errors, inria_json, poses, scene_of_dots, transforms_json, write_photos

from gaussian_lens_app.errors import BadFile
from gaussian_lens_app.formats import load_capture

CENTRED = type(PINHOLE)("PINHOLE", (), {**PINHOLE.keys, "cx": 160.0, "cy": 120.0})
"""The format has no principal point: it is the middle."""
STEMS = ["view_0", "view_1", "view_2"]


@pytest.mark.parametrize("folder", [".", "images"])
def test_photos_beside_the_file_are_found(tmp_path, folder):
    write_photos(tmp_path / folder, CENTRED)
    inria_json(tmp_path, CENTRED, STEMS)
    capture = load_capture(tmp_path, scene_of_dots())
    assert [photo.name for photo in capture.photos] == [f"{stem}.png" for stem in STEMS]
    for photo, pose in zip(capture.photos, poses(), strict=True):
        np.testing.assert_allclose(photo.camera.viewmat.numpy(), pose, atol=1e-6)
        assert dot_errors(photo).max() < 0.05


@pytest.mark.parametrize("images", ["images", "images_4"])
def test_photos_are_found_through_the_trainings_own_arguments(tmp_path, images):
    (tmp_path / "output").mkdir()
    write_photos(tmp_path / "data" / images, CENTRED)
    inria_json(tmp_path / "output", CENTRED, STEMS)
    arguments = f"Namespace(eval=True, images='{images}', source_path='{tmp_path / 'data'}', sh_degree=3)"
    (tmp_path / "output/cfg_args").write_text(arguments)
    assert max(dot_errors(photo).max() for photo in load_capture(tmp_path / "output").photos) < 0.05


def test_damaged_entries_are_reported(tmp_path):
    write_photos(tmp_path, CENTRED)
    path = inria_json(tmp_path, CENTRED, STEMS)
    data = json.loads(path.read_text())
    changes = [
        *((key, "no numbers") for key in ({"rotation": "none"}, {"width": math.inf}, {"fx": 10**400})),
        *(({"rotation": [[10**400] * 3] * 3}, "no numbers"), ({"fx": 0.0}, "focal length"), ({"width": -1}, "-1x")),
    ]
    for change, words in changes:
        path.write_text(json.dumps([{**data[0], **change}]))
        with pytest.raises(BadFile, match=words):
            load_capture(tmp_path)
    path.write_text(json.dumps([{"img_name": "view_0"}]))
    with pytest.raises(BadFile, match="no list of cameras"):
        load_capture(tmp_path)


def test_of_several_cameras_in_a_folder_those_that_see_the_scene_are_taken(tmp_path):
    """A COLMAP model of another frame beside a transforms.json that fits."""
    names = write_photos(tmp_path / "images", PINHOLE)
    folder = colmap_text(tmp_path, PINHOLE, names)
    moved = (folder / "images.txt").read_text().replace(" 4.0 7 ", " -900.0 7 ")
    (folder / "images.txt").write_text(moved)
    transforms_json(tmp_path, PINHOLE, [f"images/{name}" for name in names])
    capture = load_capture(tmp_path, scene_of_dots())
    assert max(dot_errors(photo).max() for photo in capture.photos) < 0.05
    assert "Other cameras of this folder were left aside" in capture.notes[0]
