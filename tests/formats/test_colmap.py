"""COLMAP captures: every layout of folders, binary and text, and what can be wrong with them."""

import os
import shutil
from pathlib import Path

import numpy as np
import pycolmap
import pytest
import torch
from pictures import (
    DOTS,
    OPENCV,
    PINHOLE,
    SIMPLE_PINHOLE,
    SIZE,
    colmap_text,
    dot_errors,
    poses,
    scene_of_dots,
    write_photos,
)
from PIL import Image

from gaussian_lens_app.errors import BadFile, CaptureError, FileError, GsrError
from gaussian_lens_app.formats import load_capture


@pytest.fixture
def root(tmp_path) -> Path:
    """A capture of three pinhole photos, as text."""
    colmap_text(tmp_path, PINHOLE, write_photos(tmp_path / "images", PINHOLE))
    return tmp_path


def to_binary(folder: Path) -> None:
    pycolmap.Reconstruction(str(folder)).write_binary(str(folder))
    for file in folder.glob("*.txt"):
        file.unlink()


@pytest.fixture(params=["text", "binary"])
def either(request, root) -> Path:
    if request.param == "binary":
        to_binary(root / "sparse/0")
    return root


def test_photos_cameras_and_points_are_read(either):
    capture = load_capture(either, scene_of_dots())
    assert [photo.name for photo in capture.photos] == ["view_0.png", "view_1.png", "view_2.png"]
    assert capture.notes == ()
    assert capture.root == either
    for photo, pose in zip(capture.photos, poses(), strict=True):
        torch.testing.assert_close(photo.camera.viewmat.double().numpy(), pose, atol=1e-6, rtol=0)
        assert (photo.camera.width, photo.camera.height) == SIZE
        assert photo.camera.K.tolist() == [[300, 0, 163], [0, 310, 118.5], [0, 0, 1]]
        assert dot_errors(photo).max() < 0.05
    assert capture.points is not None
    order = capture.points.colors[:, 2].long()
    torch.testing.assert_close(capture.points.positions, torch.from_numpy(DOTS).float()[order])


def test_photos_are_not_decoded_before_they_are_asked_for(root, monkeypatch):
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("a photo was decoded"))
    assert len(load_capture(root)) == 3


@pytest.mark.parametrize("sparse", ["sparse/0", "sparse", "colmap/sparse/0", "."])
def test_the_model_is_found_in_every_usual_place(tmp_path, sparse):
    colmap_text(tmp_path, SIMPLE_PINHOLE, write_photos(tmp_path / "images", SIMPLE_PINHOLE), sparse)
    assert len(load_capture(tmp_path)) == 3


@pytest.mark.parametrize("given", [".", "images", "sparse/0", "sparse"])
def test_any_folder_of_a_capture_may_be_given(root, given):
    assert len(load_capture(root / given)) == 3


def test_photos_beside_the_model_or_in_subfolders_are_found(tmp_path):
    names = [f"left/{name}" for name in write_photos(tmp_path / "images/left", PINHOLE)]
    colmap_text(tmp_path, PINHOLE, names)
    assert [photo.name for photo in load_capture(tmp_path).photos] == sorted(names)


def test_a_model_without_points_is_enough(either):
    next((either / "sparse/0").glob("points3D.*")).unlink()
    assert load_capture(either).points is None


def test_file_names_with_spaces_are_read(root):
    (root / "images/view_1.png").rename(root / "images/my best view.png")
    text = (root / "sparse/0/images.txt").read_text()
    (root / "sparse/0/images.txt").write_text(text.replace("view_1.png", "my best view.png"))
    assert load_capture(root).photos[0].name == "my best view.png"


def test_missing_photos_are_left_out_and_listed(root):
    (root / "images/view_1.png").unlink()
    capture = load_capture(root)
    assert [photo.name for photo in capture.photos] == ["view_0.png", "view_2.png"]
    assert capture.notes == ("1 of 3 photos are missing and were left out: view_1.png.",)


def test_when_all_photos_are_missing_the_first_eight_are_named(tmp_path):
    folder = colmap_text(tmp_path, PINHOLE, [f"view_{i}.png" for i in range(3)])
    line = "{0} 1 0 0 0 0 0 4 7 more_{0}.png\n\n"
    with open(folder / "images.txt", "a") as file:
        file.writelines(line.format(i) for i in range(10, 20))
    with pytest.raises(CaptureError, match=r"None of the 13 photos .*more_17\.png and 5 more.*images"):
        load_capture(tmp_path)


def test_smaller_photos_of_the_same_aspect_scale_the_camera(root):
    shutil.rmtree(root / "images")
    write_photos(root / "images_2", PINHOLE, (160, 120))
    capture = load_capture(root)
    assert (capture.photos[0].camera.width, capture.photos[0].camera.height) == (160, 120)
    assert capture.photos[0].camera.K.tolist() == [[150, 0, 81.5], [0, 155, 59.25], [0, 0, 1]]
    assert max(dot_errors(photo).max() for photo in capture.photos) < 0.1
    assert capture.notes == (
        "Cameras of 3 photos were scaled to the photos' size: view_0.png, view_1.png, view_2.png.",
    )


def test_a_photo_of_another_shape_is_refused_with_both_sizes(root):
    Image.new("RGB", (240, 320)).save(root / "images/view_1.png")
    with pytest.raises(CaptureError, match=r"view_1\.png is 240x320 .* camera says 320x240"):
        load_capture(root)


def test_a_file_that_is_no_picture_is_named(root):
    (root / "images/view_1.png").write_text("not a picture")
    with pytest.raises(CaptureError, match=r"view_1\.png cannot be read as a picture"):
        load_capture(root)


def test_cameras_that_do_not_look_at_the_scene_are_refused(root):
    with pytest.raises(CaptureError, match="do not share a coordinate frame"):
        load_capture(root, scene_of_dots(offset=500.0))


def test_a_scene_beside_the_captures_points_earns_a_note(root):
    capture = load_capture(root, scene_of_dots(offset=0.5))
    assert "away from the capture's points" in capture.notes[0]


def test_photos_without_cameras_are_sent_to_colmap(tmp_path):
    write_photos(tmp_path / "images", PINHOLE)
    for given in (tmp_path, tmp_path / "images"):
        with pytest.raises(CaptureError, match="has photos but no cameras: run COLMAP"):
            load_capture(given)


def test_an_empty_or_missing_folder_is_told_apart(tmp_path):
    with pytest.raises(CaptureError, match="neither photos nor cameras"):
        load_capture(tmp_path)
    with pytest.raises(FileError, match="does not exist"):
        load_capture(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "points3D.bin"])
def test_every_cut_through_a_binary_model_gives_a_sentence(root, name):
    to_binary(root / "sparse/0")
    path = root / "sparse/0" / name
    data = path.read_bytes()
    for size in range(0, len(data), max(1, len(data) // 40)):
        path.write_bytes(data[:size])
        with pytest.raises(BadFile, match=f"{name} is truncated"):
            load_capture(root)


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "points3D.bin"])
def test_counts_beyond_the_file_are_found(root, name):
    to_binary(root / "sparse/0")
    path = root / "sparse/0" / name
    path.write_bytes((2**60).to_bytes(8, "little") + path.read_bytes()[8:])
    with pytest.raises(GsrError, match=r"truncated|damaged|unknown model"):
        load_capture(root)


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("cameras.txt", "PINHOLE", "PINHOLLE", "unknown camera model 'PINHOLLE'"),
        ("cameras.txt", "300.0 310.0", "300.0", "gives 3 parameters"),
        ("cameras.txt", "300.0 310.0", "-300.0 310.0", "focal length"),
        ("cameras.txt", "300.0 310.0", "nan 310.0", "infinite parameters"),
        ("cameras.txt", "320 240", "0 240", "0x240"),
        ("cameras.txt", "7 PINHOLE", "8 PINHOLE", "no camera 7"),
        ("cameras.txt", "7 PINHOLE", "seven PINHOLE", "line 2"),
        ("images.txt", "0.05", "zero", "line 2"),
        ("images.txt", "0.05", "nan", "no rotation and translation"),
        ("points3D.txt", "255", "", "line 2"),
    ],
)
def test_damaged_text_is_reported(root, name, old, new, words):
    path = root / "sparse/0" / name
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(BadFile, match=words):
        load_capture(root)


def test_a_model_without_registered_photos_is_reported(root):
    (root / "sparse/0/images.txt").write_text("# nothing\n")
    with pytest.raises(BadFile, match="no registered photo"):
        load_capture(root)


def test_panoramas_are_refused(root):
    camera = pycolmap.Camera.create_from_model_id(1, pycolmap.CameraModelId.EQUIRECTANGULAR, 1.0, *SIZE)
    params = " ".join(map(str, camera.params))
    (root / "sparse/0/cameras.txt").write_text(f"7 EQUIRECTANGULAR {SIZE[0]} {SIZE[1]} {params}\n")
    with pytest.raises(CaptureError, match="EQUIRECTANGULAR"):
        load_capture(root)


def test_what_pycolmap_reads_is_what_we_read(root):
    """Every model there is, with parameters of its own."""
    folder = root / "sparse/0"
    for name, model in pycolmap.CameraModelId.__members__.items():
        if name in ("INVALID", "EQUIRECTANGULAR"):
            continue
        camera = pycolmap.Camera.create_from_model_id(7, model, 300.0, *SIZE)
        camera.params = np.where(
            np.isin(np.arange(len(camera.params)), camera.extra_params_idxs()), 0.01, camera.params
        )
        (folder / "cameras.txt").write_text(f"7 {name} {SIZE[0]} {SIZE[1]} {' '.join(map(str, camera.params))}\n")
        binary = root / "again" / name / "sparse/0"
        binary.mkdir(parents=True)
        pycolmap.Reconstruction(str(folder)).write_binary(str(binary))
        os.symlink(root / "images", root / "again" / name / "images")
        text, compact = load_capture(root), load_capture(root / "again" / name)
        expected = pycolmap.undistort_camera(pycolmap.UndistortCameraOptions(), camera)
        for photo in (*text.photos, *compact.photos):
            np.testing.assert_allclose(photo.camera.K.numpy(), expected.calibration_matrix(), rtol=1e-6)
            assert (photo.camera.width, photo.camera.height) == (expected.width, expected.height)


def test_a_distorted_model_scales_with_smaller_photos(tmp_path):
    colmap_text(tmp_path, OPENCV, write_photos(tmp_path / "images_2", OPENCV, (160, 120)))
    assert max(dot_errors(photo).max() for photo in load_capture(tmp_path).photos) < 0.3
