"""transforms.json of nerfstudio and instant-ngp: intrinsics wherever they stand, OpenGL axes, photos by loose names."""

import json
import math

import numpy as np
import pytest
import torch
from pictures import (
    DOTS,
    OPENCV_FISHEYE,
    PINHOLE,
    SIMPLE_PINHOLE,
    SIZE,
    dot_errors,
    poses,
    transforms_json,
    write_photos,
)
from plyfile import PlyData, PlyElement

from gaussian_lens_app.errors import BadFile, CaptureError, GsrError
from gaussian_lens_app.formats import load_capture


def edit(path, change) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_opengl_axes_become_opencv_axes(tmp_path):
    transforms_json(tmp_path, PINHOLE, write_photos(tmp_path, PINHOLE))
    capture = load_capture(tmp_path)
    for photo, pose in zip(capture.photos, poses(), strict=True):
        np.testing.assert_allclose(photo.camera.viewmat.numpy(), pose, atol=1e-6)
        assert dot_errors(photo).max() < 0.05


def test_intrinsics_of_a_frame_win_over_the_shared_ones(tmp_path):
    path = transforms_json(tmp_path, PINHOLE, write_photos(tmp_path, PINHOLE), fl_x=111.0, cx=5.0)
    edit(path, lambda data: [frame.update(fl_x=300.0, cx=163.0) for frame in data["frames"]])
    assert max(dot_errors(photo).max() for photo in load_capture(tmp_path).photos) < 0.05


def test_the_angle_alone_is_enough(tmp_path):
    """Synthetic scenes state nothing else; size and centre come from the photo."""
    model = type(PINHOLE)("PINHOLE", (), {"fl_x": 300.0, "fl_y": 300.0, "cx": 160.0, "cy": 120.0})
    names = [name.removesuffix(".png") for name in write_photos(tmp_path, model)]
    nothing = dict.fromkeys(("w", "h", "fl_x", "fl_y", "cx", "cy"))
    transforms_json(tmp_path, model, names, **nothing, camera_angle_x=2 * np.arctan(SIZE[0] / 600))
    capture = load_capture(tmp_path)
    assert capture.photos[0].name == "view_0.png"
    assert max(dot_errors(photo).max() for photo in capture.photos) < 0.05


@pytest.mark.parametrize("style", ["./images/{}", "images/{}", "images\\{}"])
@pytest.mark.parametrize("suffix", ["", ".png", ".jpg"])
def test_loose_file_paths_are_found(tmp_path, style, suffix):
    names = write_photos(tmp_path / "images", PINHOLE)
    transforms_json(tmp_path, PINHOLE, [style.format(name.removesuffix(".png") + suffix) for name in names])
    capture = load_capture(tmp_path)
    assert [photo.name.split(".")[0] for photo in capture.photos] == ["view_0", "view_1", "view_2"]
    assert max(dot_errors(photo).max() for photo in capture.photos) < 0.05


def test_photos_of_several_folders_keep_names_of_their_own(tmp_path):
    names = write_photos(tmp_path / "images/left", PINHOLE)
    write_photos(tmp_path / "images/right", PINHOLE)
    files = [f"images/{side}/{name}" for side, name in zip(["right", "left", "left"], names, strict=True)]
    transforms_json(tmp_path, PINHOLE, files)
    found = [photo.name for photo in load_capture(tmp_path).photos]
    assert found == ["left/view_1.png", "left/view_2.png", "right/view_0.png"]


@pytest.mark.parametrize("given", ["transforms.json", "images"])
def test_the_file_itself_or_its_photos_folder_may_be_given(tmp_path, given):
    names = write_photos(tmp_path / "images", PINHOLE)
    transforms_json(tmp_path, PINHOLE, [f"images/{name}" for name in names])
    assert len(load_capture(tmp_path / given)) == 3


def test_instant_ngps_fisheye_flag_is_understood(tmp_path):
    transforms_json(tmp_path, OPENCV_FISHEYE, write_photos(tmp_path, OPENCV_FISHEYE), is_fisheye=True, aabb_scale=4)
    assert max(dot_errors(photo).max() for photo in load_capture(tmp_path).photos) < 0.2


def test_applied_transforms_are_noted(tmp_path):
    names = write_photos(tmp_path, PINHOLE)
    transforms_json(tmp_path, PINHOLE, names, applied_transform=np.eye(4)[[1, 0, 2]].tolist())
    assert "applied_transform" in load_capture(tmp_path).notes[0]
    transforms_json(tmp_path, PINHOLE, names, applied_transform=np.eye(4)[:3].tolist(), applied_scale=1.0)
    assert load_capture(tmp_path).notes == ()


@pytest.mark.parametrize("text", [True, False])
def test_the_point_cloud_beside_it_is_read(tmp_path, text):
    rows = np.zeros(len(DOTS), [("x", "f4"), ("y", "f4"), ("z", "f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1")])
    rows["x"], rows["y"], rows["z"], rows["green"] = *DOTS.T, np.arange(len(DOTS))
    PlyData([PlyElement.describe(rows, "vertex")], text=text).write(str(tmp_path / "sparse_pc.ply"))
    transforms_json(tmp_path, PINHOLE, write_photos(tmp_path, PINHOLE), ply_file_path="sparse_pc.ply")
    points = load_capture(tmp_path).points
    assert points is not None
    torch.testing.assert_close(points.positions, torch.from_numpy(DOTS).float())
    assert points.colors.tolist() == [[0, i, 0] for i in range(len(DOTS))]


def test_slightly_skewed_rotations_are_straightened_and_scaled_ones_too(tmp_path):
    path = transforms_json(tmp_path, PINHOLE, write_photos(tmp_path, PINHOLE))

    def worsen(data):
        for frame in data["frames"]:
            matrix = np.array(frame["transform_matrix"])
            matrix[:3, :3] = matrix[:3, :3] * 1.7 + 1e-4
            frame["transform_matrix"] = matrix.tolist()

    edit(path, worsen)
    for photo in load_capture(tmp_path).photos:
        R = photo.camera.viewmat[:3, :3]
        torch.testing.assert_close(R @ R.T, torch.eye(3), atol=1e-6, rtol=0)
        assert dot_errors(photo).max() < 0.3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(frames=[]), "no list of frames"),
        (lambda d: d["frames"][1].pop("transform_matrix"), "number 1.*transform_matrix"),
        (lambda d: d["frames"][1].pop("file_path"), "number 1.*file_path"),
        (lambda d: d["frames"][1].update(transform_matrix=[[1, 2], [3, 4]]), "no 3x4 or 4x4"),
        (lambda d: d["frames"][1].update(transform_matrix="identity"), "no 3x4 or 4x4"),
        (lambda d: d["frames"][1].update(transform_matrix=np.diag([1, 1, -1, 1]).tolist()), "mirrored"),
        (lambda d: d["frames"][1].update(transform_matrix=np.diag([1, 2, 1, 1]).tolist()), "skewed"),
        (lambda d: (d.pop("fl_x"), d.pop("fl_y")), "neither fl_x nor camera_angle_x"),
        (lambda d: d.update(fl_x="long"), "fl_x = 'long'"),
        (lambda d: d.update(k4=0.1), "k4"),
        (lambda d: d.update(camera_model="EQUIRECTANGULAR"), "EQUIRECTANGULAR"),
        (lambda d: d.update(ftheta_p0=1.0), "f-theta"),
        (lambda d: d.update(w=640), "640x240"),
        (lambda d: d.update(fl_x=10**400), "fl_x = '1000.*no number"),
        (lambda d: d.update(w=math.inf), "w = 'inf'"),
        (lambda d: d["frames"][1]["transform_matrix"][0].__setitem__(3, 10**400), "no 3x4 or 4x4"),
        (lambda d: d.update(applied_transform="x"), "applied_transform that is no 3x4 or 4x4"),
        (lambda d: d.update(applied_transform=5), "applied_transform that is no 3x4 or 4x4"),
        (lambda d: d.update(applied_transform=[[10**400] * 4] * 3), "applied_transform that is no 3x4 or 4x4"),
    ],
)
def test_each_mistake_has_its_sentence(tmp_path, change, words):
    path = transforms_json(tmp_path, PINHOLE, write_photos(tmp_path, PINHOLE))
    edit(path, change)
    with pytest.raises(GsrError, match=words):
        load_capture(path)


def test_json_without_end_is_reported(tmp_path):
    (tmp_path / "transforms.json").write_text("[" * 100_000)
    with pytest.raises(BadFile, match="nested too deeply"):
        load_capture(tmp_path)


def test_truncated_json_is_reported(tmp_path):
    path = transforms_json(tmp_path, PINHOLE, write_photos(tmp_path, PINHOLE))
    path.write_text(path.read_text()[:-20])
    with pytest.raises(BadFile, match="not valid JSON"):
        load_capture(tmp_path)


def test_all_photos_missing_is_an_error(tmp_path):
    transforms_json(tmp_path, SIMPLE_PINHOLE, ["images/a.png", "images/b.png", "images/c.png"])
    with pytest.raises(CaptureError, match=r"None of the 3 photos .* a\.png, b\.png, c\.png"):
        load_capture(tmp_path)
