"""Cameras alone: what is saved comes back with the same bits, and other programs' files are read."""

import json
import math

import pytest
import torch
from pictures import OPENCV, PINHOLE, inria_json, transforms_json, write_photos

from gaussian_lens_app.errors import BadFile, CaptureError, ExportError, FileError
from gaussian_lens_app.formats import load_cameras, load_capture, save_cameras


@pytest.fixture
def cameras(tmp_path):
    transforms_json(tmp_path, PINHOLE, write_photos(tmp_path, PINHOLE))
    return [(photo.name, photo.camera) for photo in load_capture(tmp_path).photos]


def same(a, b) -> bool:
    return all(
        n == m and torch.equal(c.viewmat, d.viewmat) and torch.equal(c.K, d.K) and c.rect == d.rect
        for (n, c), (m, d) in zip(a, b, strict=True)
    )


def test_saved_cameras_come_back_bit_for_bit(tmp_path, cameras):
    save_cameras(tmp_path / "out.json", cameras)
    assert same(load_cameras(tmp_path / "out.json"), cameras)


def test_a_transforms_json_needs_no_photos_when_it_states_the_size(tmp_path, cameras):
    for photo in tmp_path.glob("*.png"):
        photo.unlink()
    assert same(load_cameras(tmp_path / "transforms.json"), cameras)


def test_without_size_or_photo_it_says_what_to_add(tmp_path):
    path = transforms_json(tmp_path, PINHOLE, ["a", "b", "c"], w=None, h=None)
    with pytest.raises(CaptureError, match="add w and h"):
        load_cameras(path)


def test_distorted_cameras_become_the_pinhole_cameras_of_their_undistorted_photos(tmp_path):
    path = transforms_json(tmp_path, OPENCV, write_photos(tmp_path, OPENCV))
    assert same(load_cameras(path), [(photo.name, photo.camera) for photo in load_capture(tmp_path).photos])


def test_inrias_file_is_read_too(tmp_path):
    loaded = load_cameras(inria_json(tmp_path, PINHOLE, ["a", "b", "c"]))
    assert [name for name, _ in loaded] == ["a", "b", "c"]
    assert loaded[0][1].K.tolist() == [[300, 0, 160], [0, 310, 120], [0, 0, 1]]


@pytest.mark.parametrize("key", ["name", "width", "K", "viewmat"])
def test_missing_keys_are_reported(tmp_path, cameras, key):
    save_cameras(tmp_path / "out.json", cameras)
    data = json.loads((tmp_path / "out.json").read_text())
    del data["cameras"][1][key]
    (tmp_path / "out.json").write_text(json.dumps(data))
    with pytest.raises(BadFile, match="camera 1"):
        load_cameras(tmp_path / "out.json")


@pytest.mark.parametrize("value", [math.inf, 10**400, 1 << 40, "wide"])
def test_an_impossible_size_is_reported(tmp_path, cameras, value):
    save_cameras(tmp_path / "out.json", cameras)
    data = json.loads((tmp_path / "out.json").read_text())
    data["cameras"][1]["width"] = value
    (tmp_path / "out.json").write_text(json.dumps(data))
    with pytest.raises(BadFile, match="camera 1"):
        load_cameras(tmp_path / "out.json")


def test_other_json_and_missing_files_are_reported(tmp_path, cameras):
    (tmp_path / "other.json").write_text('{"answer": 42}')
    with pytest.raises(BadFile, match="no cameras"):
        load_cameras(tmp_path / "other.json")
    with pytest.raises(FileError, match="cannot be read"):
        load_cameras(tmp_path / "nowhere.json")
    with pytest.raises(ExportError, match="folder does not exist"):
        save_cameras(tmp_path / "nowhere" / "out.json", cameras)
