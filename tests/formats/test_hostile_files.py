"""Damaged and hostile files: every reader answers with a scene or a GsrError, soon, and within its memory.

GSR_FUZZ_EXAMPLES=4000 makes the short run of every test into one of a quarter of an hour and more.
"""

from __future__ import annotations

import ast
import gzip
import io
import json
import os
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import pytest
import torch
from edits import ODD, edited, edits, fuzzing, places
from foreign_writers import write_gltf, write_ksplat
from hypothesis import given
from hypothesis import strategies as st
from make_corpus import CORPUS
from PIL import Image
from splats import some_gaussians
from surviving import survives

import gaussian_lens_app
from gaussian_lens_app.errors import BadFile, GsrError
from gaussian_lens_app.formats import load, save
from gaussian_lens_app.formats.limits import scene_bytes

FILES = sorted(p for p in CORPUS.iterdir() if p.suffix != ".bin")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "splats.bin").write_bytes((CORPUS / "splats.bin").read_bytes())
    return folder


@pytest.mark.parametrize("file", FILES, ids=lambda p: p.name)
def test_a_file_edited_anywhere_is_a_scene_or_a_sentence(file, folder):
    data = file.read_bytes()

    @fuzzing
    @given(edits)
    def run(changes):
        (folder / file.name).write_bytes(edited(data, changes))
        survives(folder / file.name)

    run()


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("packed.compressed.ply", [("repeat", 0.0, 376), ("repeat", 0.75, 56)]),  # an element twice, of other columns
        ("tensors.pt", [("byte", 0.94140625, 4)]),  # a tiny member that claims 64 MiB
    ],
)
def test_what_a_long_run_found_stays_mended(name, changes, tmp_path):
    (tmp_path / name).write_bytes(edited((CORPUS / name).read_bytes(), changes))
    survives(tmp_path / name)
    with pytest.raises(BadFile):
        load(tmp_path / name)


def test_padding_that_packs_away_earns_a_sog_no_more_gaussians(tmp_path):
    path = tmp_path / "a.sog"
    with zipfile.ZipFile(CORPUS / "bundle.sog") as bundle, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in bundle.namelist():
            data = bundle.read(name)
            if name == "meta.json":
                data = json.dumps({**json.loads(data), "count": 4_000_000}).encode()
            archive.writestr(name, data)
        archive.writestr("padding.webp", bytes(3 << 20))
    with pytest.raises(BadFile, match="claims 4000000"):
        load(path)


@pytest.mark.parametrize("name", ["two.spz", "three.spz"])
def test_what_is_edited_inside_a_gzip_stream_is_a_scene_or_a_sentence(name, folder):
    """Checksums would hide the reader behind zlib."""
    data = gzip.decompress((CORPUS / name).read_bytes())

    @fuzzing
    @given(edits)
    def run(changes):
        (folder / name).write_bytes(gzip.compress(edited(data, changes), 1))
        survives(folder / name)

    run()


def test_what_is_edited_inside_a_bundle_is_a_scene_or_a_sentence(folder):
    with zipfile.ZipFile(CORPUS / "bundle.sog") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}

    @fuzzing
    @given(st.sampled_from([*parts, *["meta.json"] * 5]), edits)
    def run(name, changes):
        with zipfile.ZipFile(folder / "a.sog", "w") as archive:
            for part, data in parts.items():
                archive.writestr(part, edited(data, changes) if part == name else data)
        survives(folder / "a.sog")

    run()


def test_json_with_any_value_anywhere_is_a_scene_or_a_sentence(folder):
    """Of glTF and SOG alike: one value, or key, is replaced by another of any type."""
    sog = zipfile.ZipFile(CORPUS / "bundle.sog")
    parts = {name: sog.read(name) for name in sog.namelist()}
    documents = {"a.gltf": json.loads((CORPUS / "splats.gltf").read_bytes()), "a.sog": json.loads(parts["meta.json"])}

    @fuzzing
    @given(st.sampled_from(sorted(documents)), st.floats(0, 1), st.sampled_from(ODD), st.booleans())
    def run(name, where, value, remove):
        document = json.loads(json.dumps(documents[name]))
        found = list(places(document))
        holder, key = found[int(where * (len(found) - 1))]
        if remove:
            del holder[key]
        else:
            holder[key] = value
        if name == "a.gltf":
            (folder / name).write_text(json.dumps(document))
        else:
            with zipfile.ZipFile(folder / name, "w") as archive:
                for part, data in {**parts, "meta.json": json.dumps(document).encode()}.items():
                    archive.writestr(part, data)
        survives(folder / name)

    run()


# ---- traps, made by hand


def sog_with(path: Path, meta_changes=None, **parts: bytes) -> Path:
    save(path, some_gaussians(12, 1))
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    meta = json.loads(files["meta.json"])
    for change in meta_changes or ():
        change(meta)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**files, "meta.json": json.dumps(meta).encode(), **parts}.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("name", ["../secret.webp", "/etc/passwd", "a/b.webp", "..", "", "a\\b.webp", "C:x.webp\0", 3])
def test_a_sog_that_names_files_elsewhere_is_refused(tmp_path, name):
    Image.new("RGBA", (4, 4)).save(tmp_path / "secret.webp", lossless=True)
    inner = tmp_path / "scene"
    inner.mkdir()
    path = sog_with(inner / "a.sog", [lambda meta: meta["quats"]["files"].__setitem__(0, name)])
    with pytest.raises(BadFile, match=r"refused|lacks"):
        load(path)
    save(inner / "meta.json", some_gaussians(12, 1))
    meta = json.loads((inner / "meta.json").read_text())
    meta["quats"]["files"][0] = name
    (inner / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(BadFile, match=r"refused|lacks"):
        load(inner)


def test_a_link_out_of_a_sog_folder_is_not_followed(tmp_path):
    save(tmp_path / "scene/meta.json", some_gaussians(12, 1))
    meta = json.loads((tmp_path / "scene/meta.json").read_text())
    linked = tmp_path / "scene" / meta["quats"]["files"][0]
    linked.rename(tmp_path / "outside.webp")
    linked.symlink_to(tmp_path / "outside.webp")
    with pytest.raises(BadFile, match="lacks"):
        load(tmp_path / "scene")


def test_a_zip_bomb_is_refused_unopened(tmp_path):
    path = tmp_path / "bomb.sog"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("meta.json", b"{" + b" " * 100_000_000 + b"}")
    with pytest.raises(BadFile, match="no SOG does"):
        load(path)
    survives(path)


def test_a_zip_that_lies_about_its_sizes_is_cut_off(tmp_path):
    path = sog_with(tmp_path / "a.sog", None, **{"meta.json": b"{" + b" " * 3_000_000 + b"}"})
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<I", 3_000_002), struct.pack("<I", 100)))
    survives(path)
    with pytest.raises(BadFile):
        load(path)


def test_pictures_larger_than_their_scene_are_refused_before_they_are_unpacked(tmp_path):
    picture = io.BytesIO()
    Image.new("RGBA", (8000, 8000)).save(picture, "WEBP", lossless=True, method=0)
    path = sog_with(tmp_path / "a.sog", None, **{"quats.webp": picture.getvalue()})
    survives(path)
    with pytest.raises(BadFile, match="refused"):
        load(path)


def test_a_gzip_bomb_is_unpacked_no_further_than_its_scene(tmp_path):
    head = struct.pack("<4sIIBBBB", b"NGSP", 3, 5, 0, 12, 0, 0)
    (tmp_path / "a.spz").write_bytes(gzip.compress(head + bytes(100_000_000), 1))
    survives(tmp_path / "a.spz")
    head = struct.pack("<4sIIBBBB", b"NGSP", 3, 1_000_000_000, 3, 12, 0, 0)
    (tmp_path / "a.spz").write_bytes(gzip.compress(head + bytes(1000)))
    with pytest.raises(BadFile, match="damaged or a trap"):
        load(tmp_path / "a.spz")


def test_zstd_frames_that_claim_more_than_belongs_there_are_refused(tmp_path):
    import zstandard

    frame = zstandard.ZstdCompressor().compress(bytes(100_000_000))
    streams = [(len(frame), 45), *[(1, size) for size in (5, 15, 15, 20)]]
    head = struct.pack("<4sIIBBBBI12x", b"NGSP", 4, 5, 0, 12, 0, 5, 32)
    table = b"".join(struct.pack("<QQ", *stream) for stream in streams)
    (tmp_path / "a.spz").write_bytes(head + table + frame + bytes(4))
    survives(tmp_path / "a.spz")
    with pytest.raises(BadFile, match="where 45 belong"):
        load(tmp_path / "a.spz")


def test_a_ply_that_promises_more_than_it_holds_allocates_nothing(tmp_path):
    text = (CORPUS / "binary.ply").read_bytes()
    for count in (b"13", b"1000000000000", b"9" * 18, b"9" * 5000):
        (tmp_path / "a.ply").write_bytes(text.replace(b"vertex 12", b"vertex " + count))
        survives(tmp_path / "a.ply")
        with pytest.raises(BadFile):
            load(tmp_path / "a.ply")


@pytest.mark.parametrize("row", [b"\0", b"0\n"])
def test_many_tiny_rows_beside_the_vertices_cost_no_more_than_their_bytes(tmp_path, row):
    kind = b"list uchar uchar" if row == b"\0" else b"uchar"
    file = "binary.ply" if row == b"\0" else "text.ply"
    text = (CORPUS / file).read_bytes()
    text = text.replace(b"end_header", b"element tiny 200000\nproperty " + kind + b" a\nend_header")
    (tmp_path / "a.ply").write_bytes(text + row * 200_000)
    tracemalloc.start()
    assert len(load(tmp_path / "a.ply").gaussians)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * (tmp_path / "a.ply").stat().st_size + 8_000_000


def test_folders_pipes_and_devices_are_no_scenes(tmp_path):
    os.mkfifo(tmp_path / "a.ply")
    for path in (tmp_path / "a.ply", Path("/dev/zero"), tmp_path, tmp_path / "a\0b.ply", tmp_path / ("x" * 300)):
        with pytest.raises(GsrError):
            load(path)


@pytest.mark.skipif(sys.platform != "linux", reason="address space limits are Linux's")
@pytest.mark.parametrize("suffix", [".ply", ".spz"])
def test_a_scene_too_large_for_memory_is_a_sentence(tmp_path, suffix):
    """The limit leaves room for the program and half of what the scene needs."""
    g = some_gaussians(150_000, 3)
    save(tmp_path / f"a{suffix}", g)
    code = f"""
import resource, sys, torch, PIL.WebPImagePlugin
from gaussian_lens_app import formats
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 6_000_000, resource.RLIM_INFINITY))
try:
    formats.load({str(tmp_path / f"a{suffix}")!r})
except formats.load.__globals__["FileError"] as error:
    print(error); sys.exit(7)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 7, done.stderr[-2000:]
    assert "memory" in done.stdout


def test_nothing_in_the_product_unpickles():
    """torch.load, np.load(allow_pickle=True), pickle, shelve, marshal, eval and exec run what a file says."""
    package = Path(gaussian_lens_app.__file__).parent
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {n.split(".")[0] for n in names} & {"pickle", "dill", "shelve", "marshal", "joblib"}, path
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("eval", "exec"), f"{path}:{node.lineno}"
                if called in ("np.load", "numpy.load"):
                    assert "allow_pickle=False" in ast.unparse(node), f"{path}:{node.lineno}"
                if called == "torch.load":  # of weights and of what we wrote, by torch's list of names
                    assert "weights_only=True" in ast.unparse(node), f"{path}:{node.lineno}"
                    assert path.relative_to(package).parts[0] in ("training", "methods", "priors", "lineages")


@pytest.mark.parametrize("name", ["a.ply", "a.compressed.ply", "a.splat", "a.spz", "a.sog", "a.ksplat", "a.glb"])
def test_reading_a_larger_scene_takes_no_more_memory_than_is_promised(tmp_path, name):
    """Here without the spare constant, which would hide four copies of a small scene."""
    g = some_gaussians(12_000 if name in ("a.ksplat", "a.sog") else 60_000, 2)
    if name == "a.glb":
        write_gltf(tmp_path / name, g)
    elif name == "a.ksplat":
        write_ksplat(tmp_path / name, [g.take(torch.arange(3000))], 0)
    else:
        save(tmp_path / name, g)
    tracemalloc.start()
    read = load(tmp_path / name).gaussians
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    larger = max((tmp_path / name).stat().st_size, scene_bytes(len(read), read.sh_degree))
    assert peak < 4 * larger + (6 << 20)
