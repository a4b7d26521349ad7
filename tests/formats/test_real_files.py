"""Files and captures that other programs wrote."""

from pathlib import Path

import numpy as np
import pycolmap
import pytest
import torch
from plyfile import PlyData
from splats import SHARED

from gaussian_lens_app.errors import UnknownFormat
from gaussian_lens_app.formats import load, load_capture, save

FOREIGN = SHARED / "foreign_splats"
SCENES = ("banana", "brighton_beach", "plush", "fox", "fountain_p11", "monstree")


def needed(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"{path} is not there: it belongs to the project's data beside the checkout")
    return path


@pytest.mark.parametrize(
    ("name", "count", "degree"),
    [
        ("foreign_splats/inria_kacytran_iter7000.ply", 9080, 3),
        ("foreign_splats/tiny_fixtures/metalsplatter_3points.ply", 3, 3),
        ("lr/fox.ply", 71060, 0),
        ("lr/banana.ply", 61335, 0),
    ],
)
def test_a_foreign_file_is_read_right_and_returns_byte_for_byte(tmp_path, name, count, degree):
    path = needed(SHARED / name)
    read = load(path)
    assert (len(read.gaussians), read.gaussians.sh_degree, read.findings) == (count, degree, ())
    vertex = PlyData.read(str(path))["vertex"]
    bands = (degree + 1) ** 2 - 1
    np.testing.assert_array_equal(read.gaussians.quats[:, 3].numpy(), vertex["rot_3"])
    for k in range(bands):
        np.testing.assert_array_equal(read.gaussians.shN[:, k, 1].numpy(), vertex[f"f_rest_{bands + k}"])
    save(tmp_path / "again.ply", read.gaussians, read)
    assert (tmp_path / "again.ply").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", ["playcanvas_biker.compressed.ply", "playcanvas_test_sh.compressed.ply"])
def test_a_compressed_file_is_named_as_such(name):
    with pytest.raises(UnknownFormat, match="compressed PLY"):
        load(needed(FOREIGN / name))


@pytest.mark.parametrize("name", SCENES)
def test_a_real_capture_is_what_pycolmap_reads(name):
    root = needed(SHARED / "scenes" / name)
    model, capture = pycolmap.Reconstruction(str(root / "sparse/0")), load_capture(root)
    assert capture.notes == ()
    assert [photo.name for photo in capture.photos] == sorted(image.name for image in model.images.values())
    for image in model.images.values():
        camera = capture.named(image.name).camera
        np.testing.assert_allclose(camera.viewmat[:3].numpy(), image.cam_from_world().matrix(), atol=1e-5)
        np.testing.assert_allclose(camera.K.numpy(), image.camera.calibration_matrix(), rtol=1e-6)
    assert capture.points is not None
    points = np.stack([point.xyz for point in model.points3D.values()])
    np.testing.assert_allclose(np.sort(capture.points.positions.numpy(), 0), np.sort(points, 0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["banana", "fox", "fountain_p11", "monstree"])
def test_a_scene_and_its_own_capture_fit_without_doubts(name):
    scene = load(needed(SHARED / "lr" / f"{name}.ply")).gaussians
    assert load_capture(needed(SHARED / "scenes" / name), scene).notes == ()


def test_a_scene_and_a_foreign_capture_raise_doubts():
    scene = load(needed(SHARED / "lr/fox.ply")).gaussians
    notes = load_capture(needed(SHARED / "scenes/fountain_p11"), scene).notes
    assert "away from the capture's points" in notes[0]


def test_a_scene_turned_out_of_its_frame_raises_doubts():
    file = load(needed(SHARED / "lr/monstree.ply"))
    centre = file.gaussians.means.median(0).values
    turned = (file.gaussians.means - centre) @ torch.tensor([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]) + centre
    file.gaussians.means.copy_(turned)
    assert load_capture(needed(SHARED / "scenes/monstree"), file.gaussians).notes
