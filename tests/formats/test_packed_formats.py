"""Packed formats: what is written comes back within what the format rounds to, and what is lost is said."""

import gzip
import json
import struct
import zipfile

import numpy as np
import pytest
import torch
from splats import some_gaussians

from gaussian_lens_app.errors import BadFile, ExportError, UnknownFormat
from gaussian_lens_app.formats import load, losses, save
from gaussian_lens_app.scene import Gaussians

WRITTEN = [
    ("a.compressed.ply", {}),
    ("a.splat", {}),
    ("a.spz", {"version": 2}),
    ("a.spz", {"version": 3}),
    ("a.spz", {"version": 4}),
    ("a.sog", {}),
    ("folder/meta.json", {}),
]
KEEPS = {".ply": 3, ".splat": 0, ".spz": 3, ".sog": 3, ".json": 3}


def tame(count: int = 700, degree: int = 3, seed: int = 0) -> Gaussians:
    """A scene within every format's range; bases of SH stay below SPZ's 1."""
    g = some_gaussians(count, degree, seed)
    return Gaussians(
        g.means * 3, g.quats, g.log_scales - 3, g.logit_opacities, g.sh0 * 0.5, (g.shN * 0.2).clamp(-0.9, 0.9)
    )


def matched(g: Gaussians, other: Gaussians) -> Gaussians:
    """`other` in the order of `g`: some formats sort their rows."""
    nearest = torch.cdist(g.means, other.means).argmin(1)
    assert len(set(nearest.tolist())) == len(g)
    return other.take(nearest)


def turn_between(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Radians between the rotations of quaternions."""
    a, b = (torch.nn.functional.normalize(q.double(), dim=1) for q in (a, b))
    return 2 * torch.acos((a * b).sum(1).abs().clamp(max=1))


@pytest.mark.parametrize(("name", "options"), WRITTEN)
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_a_scene_returns_within_the_formats_rounding(tmp_path, name, options, degree):
    g = tame(degree=degree)
    path = tmp_path / name
    save(path, g, **options)
    read = load(path)
    assert read.findings == ()
    back = matched(g, read.gaussians)
    extent = g.means.amax(0) - g.means.amin(0)
    places = {".ply": extent / 1023, ".splat": 0 * extent, ".spz": extent * 0 + 1 / 4096}
    logs = g.means.sign() * g.means.abs().log1p()
    half_step = (logs.amax(0) - logs.amin(0)) / 65535 * (1 + g.means.abs().amax(0))
    assert ((back.means - g.means).abs() <= places.get(path.suffix, half_step) * 0.5001 + 1e-6).all()
    rotation = {".splat": 0.014, ".ply": 0.003, ".spz": 0.02 if options.get("version") == 2 else 0.004}
    quats = turn_between(back.quats, g.quats)
    assert float(quats.median()) < rotation.get(path.suffix, 0.01)
    scales = {".splat": 1e-5, ".ply": 0.01, ".spz": 1 / 32}.get(path.suffix, 0.05)
    torch.testing.assert_close(back.log_scales, g.log_scales, atol=scales + 1e-6, rtol=0)
    torch.testing.assert_close(back.opacities, g.opacities, atol=0.5 / 255 + 1e-5, rtol=0)
    color = {".splat": 0.5 / 255 / 0.282 + 1e-3, ".spz": 0.5 / 255 / 0.15 + 1e-3}.get(path.suffix, 0.02)
    shown = ((g.sh0[:, 0] * 0.2821).abs() <= 0.5).all(1)  # .splat clamps other colours, and says so
    torch.testing.assert_close(back.sh0[shown], g.sh0[shown], atol=color, rtol=0)
    kept = min(degree, KEEPS[path.suffix])
    assert back.sh_degree == kept
    first = {".spz": 8 / 256 + 1e-3, ".ply": 4 / 256 + 1e-3}.get(path.suffix, 0.02)
    rest = 16 / 256 + 1e-3 if path.suffix == ".spz" else first
    truth = g.with_sh_degree(kept).shN
    torch.testing.assert_close(back.shN[:, :3], truth[:, :3], atol=first, rtol=0)
    torch.testing.assert_close(back.shN[:, 3:], truth[:, 3:], atol=rest, rtol=0)


@pytest.mark.parametrize(("name", "options"), WRITTEN)
def test_writing_what_was_read_changes_nothing_any_more(tmp_path, name, options):
    """Values on the format's grid stay where they are: a file may be converted again and again."""
    save(tmp_path / "0.ply", tame(300))
    g = load(tmp_path / "0.ply").gaussians
    for index in (1, 2):
        path = tmp_path / str(index) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path, g, **options)
        g, before = load(path).gaussians, g
    back = matched(before, g)
    # Bounds of blocks and logarithms are stored as float32, so "nothing" is a float's rounding.
    torch.testing.assert_close(back.means, before.means, atol=2e-3 if "ply" in name else 2e-4, rtol=0)
    torch.testing.assert_close(back.opacities, before.opacities, atol=1e-6, rtol=0)
    torch.testing.assert_close(back.shN, before.shN, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["a.compressed.ply", "a.splat", "a.spz", "a.sog"])
@pytest.mark.parametrize("count", [1, 256, 257])
def test_single_gaussians_and_full_chunks_return(tmp_path, name, count):
    g = tame(count, 1)
    save(tmp_path / name, g)
    assert len(load(tmp_path / name).gaussians) == count


def test_spz_leaves_fewer_bits_for_scenes_too_large_for_twelve(tmp_path):
    g = tame(20, 0)
    far = Gaussians(g.means * 3000, *[t for _, t in list(g.tensors())[1:]])
    save(tmp_path / "a.spz", far)
    step = struct.unpack_from("<4sIIBB", gzip.decompress((tmp_path / "a.spz").read_bytes()))[4]
    assert step < 12
    torch.testing.assert_close(load(tmp_path / "a.spz").gaussians.means, far.means, atol=0.51 / (1 << step), rtol=1e-6)
    assert f"1/{1 << step}" in losses("a.spz", far)[0]


def test_spz_turns_the_axes_as_its_specification_says(tmp_path):
    save(tmp_path / "a.spz", tame(5, 0))
    raw = gzip.decompress((tmp_path / "a.spz").read_bytes())
    words = np.frombuffer(raw[16 : 16 + 45], np.uint8).reshape(15, 3).astype(np.int32)
    fixed = (words[:, 0] | words[:, 1] << 8 | words[:, 2] << 16).reshape(5, 3)
    stored = np.where(fixed >= 1 << 23, fixed - (1 << 24), fixed) / 4096
    np.testing.assert_allclose(stored * [1, -1, -1], tame(5, 0).means.numpy(), atol=1 / 4096)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.splat", ["8 bits", "degree 3 are cut to degree 0"]),
        ("a.spz", ["log scales to 1/16"]),
        ("a.sog", ["256 values", "palette"]),
        ("a.compressed.ply", ["block of 256"]),
        ("a.ply", []),
    ],
)
def test_what_is_lost_is_said_before_it_is_lost(name, expected):
    sentences = losses(name, tame(50))
    assert len(sentences) >= len(expected)
    for part in expected:
        assert any(part in sentence for sentence in sentences)


def test_values_beyond_a_formats_range_are_counted(tmp_path):
    g = tame(10)
    g.shN[3] = 2.0
    g.log_scales[1:3] = -12.0
    said = " ".join(losses("a.spz", g))
    assert "1 Gaussians with SH coefficients beyond 1" in said
    assert "2 Gaussians with scales outside" in said


def test_a_file_named_like_another_format_says_which_to_believe(tmp_path):
    save(tmp_path / "a.spz", tame(5))
    (tmp_path / "a.spz").rename(tmp_path / "a.ply")
    with pytest.raises(BadFile, match=r"its content is SPZ.*rename it to end in \.spz"):
        load(tmp_path / "a.ply")
    (tmp_path / "a.ply").rename(tmp_path / "scene.backup")
    assert len(load(tmp_path / "scene.backup").gaussians) == 5


def test_formats_that_are_only_read_say_so(tmp_path):
    for name in ("a.glb", "a.ksplat"):
        with pytest.raises(UnknownFormat, match="only read"):
            save(tmp_path / name, tame(2))
    with pytest.raises(ExportError, match="choose 2, 3 or 4"):
        save(tmp_path / "a.spz", tame(2), version=7)


def test_a_folder_of_sog_is_replaced_in_one_step(tmp_path, monkeypatch):
    path = tmp_path / "scene/meta.json"
    save(path, tame(30, 1))
    before = {p.name: p.read_bytes() for p in path.parent.iterdir()}
    monkeypatch.setattr(json, "dump", lambda *a: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(ExportError, match="disk is full"):
        save(path, tame(40, 1))
    assert {p.name: p.read_bytes() for p in path.parent.iterdir()} == before
    monkeypatch.undo()
    save(path, tame(40, 1))
    assert len(load(path.parent).gaussians) == 40
    assert len(list(path.parent.iterdir())) == len(before)


def test_a_sog_bundle_is_a_plain_zip_of_lossless_pictures(tmp_path):
    save(tmp_path / "a.sog", tame(500, 2))
    with zipfile.ZipFile(tmp_path / "a.sog") as archive:
        meta = json.loads(archive.read("meta.json"))
        assert meta["version"] == 2
        assert meta["count"] == 500
        assert meta["shN"]["bands"] == 2
        assert all(archive.read(name)[12:16] == b"VP8L" for name in archive.namelist() if name.endswith(".webp"))


def test_a_large_palette_is_close_to_its_rows(tmp_path):
    """More rows than palette entries: clusters, not copies."""
    g = tame(20_000, 1)
    base = torch.randn(50, 3, 3, generator=torch.Generator().manual_seed(1)) * 0.3
    shN = base[torch.arange(20_000) % 50] + 0.005 * g.shN
    scene = Gaussians(g.means, g.quats, g.log_scales, g.logit_opacities, g.sh0, shN)
    save(tmp_path / "a.sog", scene)
    back = load(tmp_path / "a.sog").gaussians
    from scipy.spatial import KDTree

    _, rows = KDTree(back.means.numpy()).query(g.means.numpy())
    assert float((back.shN[torch.from_numpy(rows)] - shN).abs().mean()) < 0.01


def test_spz_of_version_1_stores_positions_as_half_floats(tmp_path):
    g = tame(9, 0)
    save(tmp_path / "a.spz", g, version=2)
    raw = gzip.decompress((tmp_path / "a.spz").read_bytes())
    half = (g.means.numpy() * [1, -1, -1]).astype("<f2").tobytes()
    (tmp_path / "b.spz").write_bytes(gzip.compress(b"NGSP\x01" + raw[5:16] + half + raw[16 + 81 :]))
    old, new = load(tmp_path / "b.spz"), load(tmp_path / "a.spz")
    assert old.format == "SPZ 1"
    torch.testing.assert_close(old.gaussians.means, g.means, atol=0, rtol=1e-3)
    torch.testing.assert_close(old.gaussians.quats, new.gaussians.quats)


def test_spz_4_with_extensions_and_flags_says_what_is_not_read(tmp_path):
    save(tmp_path / "a.spz", tame(9, 1), version=4)
    data = bytearray((tmp_path / "a.spz").read_bytes())
    data[14] = 3  # antialiased, with extensions
    data[16:20] = struct.pack("<I", 32 + 20)
    record = struct.pack("<II", 0xADBE0002, 12) + bytes(12)
    (tmp_path / "b.spz").write_bytes(bytes(data[:32]) + record + bytes(data[32:]))
    read = load(tmp_path / "b.spz")
    assert [f.kind for f in read.findings] == ["antialiased", "extension"]
    torch.testing.assert_close(read.gaussians.means, load(tmp_path / "a.spz").gaussians.means)


@pytest.mark.parametrize("version", [0, 5, 77])
def test_spz_of_an_unknown_version_says_which_are_known(tmp_path, version):
    save(tmp_path / "a.spz", tame(3, 0), version=4)
    data = (tmp_path / "a.spz").read_bytes()
    (tmp_path / "a.spz").write_bytes(data[:4] + struct.pack("<I", version) + data[8:])
    with pytest.raises(UnknownFormat, match=f"SPZ version {version}"):
        load(tmp_path / "a.spz")


def test_sog_of_version_1_says_what_to_do(tmp_path):
    save(tmp_path / "scene/meta.json", tame(3, 0))
    meta = json.loads((tmp_path / "scene/meta.json").read_text())
    del meta["version"]
    (tmp_path / "scene/meta.json").write_text(json.dumps(meta))
    with pytest.raises(UnknownFormat, match=r"SOG version 1.*convert it"):
        load(tmp_path / "scene")
