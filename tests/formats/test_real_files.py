"""Files and captures that other programs wrote."""

from pathlib import Path

import numpy as np
import pycolmap
import pytest
import torch
from plyfile import PlyData
from splats import SHARED

from gaussian_lens_app.formats import inspect, load, load_capture, save
from gaussian_lens_app.session.recording import camera_at
from gaussian_lens_app.viewer.first_view import whole_view

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


@pytest.mark.parametrize(
    ("name", "format", "count", "degree"),
    [
        ("playcanvas_biker.compressed.ply", "PlayCanvas compressed PLY", 152746, 0),
        ("playcanvas_test_sh.compressed.ply", "PlayCanvas compressed PLY", 64, 3),
        ("playcanvas_playbot_sog", "SOG", 3000, 2),
        ("playcanvas_playbot_sog/meta.json", "SOG", 3000, 2),
        ("kacytran_model.splat", "splat", 22764, 0),
        ("tiny_fixtures/metalsplatter_3points.splat", "splat", 3, 0),
        ("tiny_fixtures/metalsplatter_3points.spz", "SPZ 3", 3, 3),
        ("tiny_fixtures/splattransform_minimal.splat", "splat", 4, 0),
        ("tiny_fixtures/splattransform_minimal.ksplat", "ksplat 0.1", 4, 0),
        ("tiny_fixtures/splattransform_minimal-v2.spz", "SPZ 2", 4, 0),
        ("tiny_fixtures/splattransform_minimal-v3.spz", "SPZ 3", 4, 0),
        ("tiny_fixtures/splattransform_minimal-v4.spz", "SPZ 4", 4, 0),
    ],
)
def test_a_packed_foreign_file_opens_with_all_its_gaussians(name, format, count, degree):
    read = load(needed(FOREIGN / name))
    assert (read.format, len(read.gaussians), read.gaussians.sh_degree, read.findings) == (format, count, degree, ())
    assert inspect(FOREIGN / name)["count"] == count


EVERY = {
    "inria_kacytran_iter7000.ply": 9080, "kacytran_model.splat": 22764, "playcanvas_biker.compressed.ply": 152746,
    "playcanvas_playbot_sog": 3000, "playcanvas_test_sh.compressed.ply": 64,
    "tiny_fixtures/metalsplatter_3points.ply": 3, "tiny_fixtures/metalsplatter_3points.splat": 3,
    "tiny_fixtures/metalsplatter_3points.spz": 3, "tiny_fixtures/splattransform_minimal.ksplat": 4,
    "tiny_fixtures/splattransform_minimal.splat": 4, "tiny_fixtures/splattransform_minimal-v2.spz": 4,
    "tiny_fixtures/splattransform_minimal-v3.spz": 4, "tiny_fixtures/splattransform_minimal-v4.spz": 4,
}  # fmt: skip
"""Every file there, with the count in TABLE.md."""
TARGETS = ("a.ply", "a.compressed.ply", "a.splat", "a.spz", "a.sog", "folder/meta.json")


def test_no_foreign_file_is_left_out_here():
    needed(FOREIGN)
    suffixes = (".ply", ".splat", ".spz", ".sog", ".ksplat", ".glb", ".gltf")
    found = {str(path.relative_to(FOREIGN)) for path in FOREIGN.rglob("*") if path.suffix in suffixes}
    found |= {str(path.parent.relative_to(FOREIGN)) for path in FOREIGN.rglob("meta.json")}
    assert found == set(EVERY)


@pytest.mark.parametrize(("name", "count"), EVERY.items())
def test_every_foreign_file_opens_with_its_count_shows_something_and_converts(tmp_path, fast_rasterizer, name, count):
    """In each format the first picture is the same but for what the format rounds."""
    g = load(needed(FOREIGN / name)).gaussians
    assert len(g) == count
    camera = camera_at(whole_view(g), 200, 150)

    def picture(scene):
        with torch.inference_mode():
            return fast_rasterizer.render(scene, camera).rgb.clamp(0, 1)

    shown = picture(g)
    assert float((shown.amax(-1) > 0.02).float().mean()) > (0.05 if count > 3 else 0)  # three dots are not much
    assert float(shown.mean()) < 0.5
    assert count == 3 or float(shown.std()) > 0.05
    for target in TARGETS:
        save(tmp_path / target, g)
        again = load(tmp_path / target).gaussians
        assert len(again) == count
        plain = g.with_sh_degree(again.sh_degree) if again.sh_degree < g.sh_degree else g
        error = float((picture(again) - picture(plain)).square().mean())
        assert error < 10**-3, target  # 30 dB; what the rounding itself may cost is measured in test_packed_formats


def test_the_same_points_in_three_formats_are_the_same_scene():
    """The PLY is exact; the others round it. This also holds the axes that SPZ turns."""
    ply, splat, spz = (
        load(needed(FOREIGN / f"tiny_fixtures/metalsplatter_3points.{s}")).gaussians for s in ("ply", "splat", "spz")
    )
    quats = torch.nn.functional.normalize(ply.quats, dim=1)
    for other, places, turns in ((splat, 0.0, 0.02), (spz, 1 / 4096, 0.02)):
        torch.testing.assert_close(other.means, ply.means, atol=places, rtol=0)
        torch.testing.assert_close(torch.nn.functional.normalize(other.quats, dim=1), quats, atol=turns, rtol=0)
        torch.testing.assert_close(other.log_scales, ply.log_scales, atol=1 / 32 + 1e-6, rtol=0)
        torch.testing.assert_close(other.opacities, ply.opacities, atol=1 / 255, rtol=0)
        torch.testing.assert_close(other.sh0, ply.sh0, atol=0.02, rtol=0)
    torch.testing.assert_close(spz.shN, ply.shN, atol=0.08, rtol=0)


def test_four_writers_agree_on_the_minimal_scene():
    names = ("minimal.splat", "minimal.ksplat", "minimal-v3.spz", "minimal-v4.spz")
    scenes = [load(needed(FOREIGN / f"tiny_fixtures/splattransform_{name}")).gaussians for name in names]
    for other in scenes[1:]:
        torch.testing.assert_close(other.means, scenes[0].means)
        torch.testing.assert_close(other.opacities, scenes[0].opacities)
        torch.testing.assert_close(other.sh0, scenes[0].sh0, atol=0.02, rtol=0)
        torch.testing.assert_close(other.log_scales, scenes[0].log_scales, atol=1 / 32, rtol=0)


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
