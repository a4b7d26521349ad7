"""Formats that are only read, and cameras inside PLYs: against writers made for these tests."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from foreign_writers import write_gltf, write_ksplat
from make_corpus import CORPUS, camera_elements, make
from splats import same_bits, some_gaussians, table_of, vertex_of, write_ply

from gaussian_lens_app.errors import BadFile, UnknownFormat
from gaussian_lens_app.formats import load, load_cameras, save, transformed
from gaussian_lens_app.formats.frames import RUB
from gaussian_lens_app.scene import Gaussians


def small(count: int = 30, degree: int = 2) -> Gaussians:
    g = some_gaussians(count, degree)
    return dataclasses.replace(g, log_scales=g.log_scales - 3, sh0=0.5 * g.sh0, shN=0.3 * g.shN)


@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_ksplat_is_read_within_its_rounding(tmp_path, mode, degree):
    parts = [small(13, degree), some_gaussians(9, degree, seed=5)]
    parts[1] = dataclasses.replace(parts[1], log_scales=parts[1].log_scales - 3, sh0=0.5 * parts[1].sh0)
    read = load(write_ksplat(tmp_path / "a.ksplat", parts, mode)).gaussians
    g = Gaussians.concat(parts)
    torch.testing.assert_close(read.means, g.means, atol=20 / 32767 if mode else 1e-6, rtol=0)
    torch.testing.assert_close(read.log_scales, g.log_scales, atol=1e-3 if mode else 1e-5, rtol=0)
    torch.testing.assert_close(read.quats, g.quats, atol=2e-3 if mode else 0, rtol=0)
    torch.testing.assert_close(read.opacities, g.opacities, atol=0.5 / 255 + 1e-6, rtol=0)
    if degree:
        inside = g.shN.abs() < 1.5
        torch.testing.assert_close(read.shN[inside], g.shN[inside], atol=(0, 2e-3, 0.006)[mode], rtol=0)


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("suffix", [".glb", ".gltf"])
def test_gltf_is_read_in_inrias_axes(tmp_path, suffix, linear):
    """Ratified files store lengths, drafts their logarithms."""
    g = small()
    read = load(write_gltf(tmp_path / f"a{suffix}", g, linear=linear)).gaussians
    expected = transformed(g, RUB)
    torch.testing.assert_close(read.means, expected.means)
    torch.testing.assert_close(read.log_scales, g.log_scales, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(read.logit_opacities, g.logit_opacities, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(read.shN, expected.shN, atol=1e-5, rtol=1e-5)


def test_gltfs_nodes_place_their_splats(tmp_path):
    g = small()
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    node = {"rotation": [0, 0, 0.5**0.5, 0.5**0.5], "scale": [2, 2, 2], "translation": [1, 2, 3]}
    read = load(write_gltf(tmp_path / "a.glb", g, node)).gaussians
    expected = transformed(transformed(g, 2 * turn, np.array([1.0, 2, 3])), RUB)
    torch.testing.assert_close(read.means, expected.means, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(read.log_scales, expected.log_scales, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(read.shN, expected.shN, atol=1e-4, rtol=1e-4)


def test_gltf_may_not_point_out_of_its_folder(tmp_path):
    path = write_gltf(tmp_path / "a.gltf", small())
    for uri in ("../secret.bin", "/etc/passwd", "sub/a.bin", "%2e%2e/secret.bin"):
        document = json.loads(path.read_text())
        document["buffers"][0]["uri"] = uri
        path.write_text(json.dumps(document))
        with pytest.raises(BadFile, match="refused"):
            load(path)


def test_gltf_without_splats_says_so(tmp_path):
    path = write_gltf(tmp_path / "a.gltf", small())
    document = json.loads(path.read_text())
    del document["meshes"][0]["primitives"][0]["extensions"]
    path.write_text(json.dumps(document))
    with pytest.raises(UnknownFormat, match="no primitive has the extension"):
        load(path)


@pytest.mark.parametrize("text", [True, False])
def test_cameras_inside_a_ply_are_offered_and_kept(tmp_path, text):
    g = some_gaussians(5, 0)
    path = write_ply(tmp_path / "a.ply", vertex_of(table_of(g)), *camera_elements(5), text=text)
    read = load(path)
    assert "cameras" in {f.kind for f in read.findings}
    ((name, camera),) = read.cameras
    assert (name, camera.width, camera.height) == ("camera 1", 320, 240)
    assert torch.equal(camera.viewmat, torch.eye(4))
    assert float(camera.K[0, 0]) == 400
    assert load_cameras(path)[0][0] == "camera 1"
    save(tmp_path / "b.ply", read.gaussians, read)
    assert same_bits(load(tmp_path / "b.ply").gaussians, g)
    assert len(load(tmp_path / "b.ply").cameras) == 1


def test_cameras_that_cannot_be_are_said_and_not_used(tmp_path):
    elements = camera_elements(5)
    elements[0].data["extrinsic"][:3] = [3, 0, 0]
    read = load(write_ply(tmp_path / "a.ply", vertex_of(table_of(some_gaussians(5, 0))), *elements))
    assert read.cameras == ()
    assert any("not used: an extrinsic matrix is no rotation" in f.sentence for f in read.findings)


def test_a_ply_without_cameras_says_what_to_give(tmp_path):
    save(tmp_path / "a.ply", small())
    with pytest.raises(BadFile, match="states no cameras"):
        load_cameras(tmp_path / "a.ply")


def test_the_corpus_is_what_its_script_writes(tmp_path):
    make(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in CORPUS.iterdir())
    for path in CORPUS.iterdir():
        if path.suffix in (".ply", ".splat", ".ksplat", ".glb", ".gltf"):
            assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


def test_two_elements_of_one_name_are_both_kept(tmp_path):
    path = write_ply(tmp_path / "a.ply", *camera_elements(5)[3:4], vertex_of(table_of(some_gaussians(5, 0))))
    text = path.read_bytes().replace(b"element vertex", b"element frame 1\nproperty int frame\nelement vertex")
    head, body = text.split(b"end_header\n", 1)
    path.write_bytes(head + b"end_header\n" + body[:8] + b"\x09\0\0\0" + body[8:])
    read = load(path)
    save(tmp_path / "b.ply", read.gaussians, read)
    assert (tmp_path / "b.ply").read_bytes() == path.read_bytes()
