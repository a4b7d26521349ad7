"""Damaged and hostile .npz, .pt and .safetensors: arrays or a sentence, soon, within memory, and nothing is run."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from edits import ODD, edited, edits, fuzzing, places
from hypothesis import given
from hypothesis import strategies as st
from make_corpus import CORPUS, arrays_of
from splats import some_gaussians
from surviving import survives

from gaussian_lens_app.errors import BadFile
from gaussian_lens_app.formats import load


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("arrays")


def members(name: str) -> dict[str, bytes]:
    with zipfile.ZipFile(CORPUS / name) as archive:
        return {member: archive.read(member) for member in archive.namelist()}


def write_zip(path: Path, parts: dict[str, bytes], packing: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for part, data in parts.items():
            archive.writestr(part, data)
    return path


@pytest.mark.parametrize("name", ["stated.npz", "packed.npz", "tensors.pt"])
def test_what_is_edited_inside_a_zip_of_arrays_is_a_scene_or_a_sentence(name, folder):
    """Checksums would hide the readers behind zipfile. A .pt's description is edited as often as all else."""
    parts = members(name)
    description = [part for part in parts if part.endswith("data.pkl")]

    @fuzzing
    @given(st.sampled_from([*parts, *description * len(parts)]), edits)
    def run(part, changes):
        changed = {one: edited(data, changes) if one == part else data for one, data in parts.items()}
        survives(write_zip(folder / name, changed))

    run()


def test_a_safetensors_header_with_any_value_anywhere_is_a_scene_or_a_sentence(folder):
    data = (CORPUS / "tensors.safetensors").read_bytes()
    size = struct.unpack("<Q", data[:8])[0]

    @fuzzing
    @given(st.floats(0, 1), st.sampled_from([*ODD, [1 << 40, 1 << 40], "F64", "BF16", "U8", "BOOL"]), st.booleans())
    def run(where, value, remove):
        document = json.loads(data[8 : 8 + size])
        found = list(places(document))
        holder, key = found[int(where * (len(found) - 1))]
        if remove:
            del holder[key]
        else:
            holder[key] = value
        head = json.dumps(document).encode()
        (folder / "a.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + data[8 + size :])
        survives(folder / "a.safetensors")

    run()


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_pt_that_calls_anything_is_refused_and_nothing_is_called(tmp_path, protocol):
    """Also where torch.load would ask a list of allowed names."""
    witness = tmp_path / "was_run"

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(witness),)

    parts = members("tensors.pt")
    program = next(part for part in parts if part.endswith("data.pkl"))
    write_zip(tmp_path / "a.pt", {**parts, program: pickle.dumps({"means": Evil()}, protocol)})
    with pytest.raises(BadFile):
        load(tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps({"means": Evil()}, protocol))
    with pytest.raises(BadFile, match="damaged or not what its name says"):
        load(tmp_path / "b.pt")
    np.savez(tmp_path / "c.npz", means=np.array([Evil()], dtype=object))
    with pytest.raises(BadFile, match="not safe"):
        load(tmp_path / "c.npz")
    assert not witness.exists()


def test_what_our_reading_of_a_pt_gives_is_what_torch_gives(tmp_path):
    g = some_gaussians(50, 1)
    arrays = arrays_of(g)
    arrays["means"] = torch.nn.Parameter(g.means.T.contiguous().T)  # strided
    arrays["scales"] = torch.cat([g.scales, g.scales])[50:]  # with an offset
    arrays["opacities"] = g.opacities.double()
    arrays["rotations"] = g.quats.bfloat16()
    torch.save({**arrays, "convention": "gsplat", "step": 3, "more": [1.5, None, True]}, tmp_path / "a.pt")
    del arrays["covariances"]
    torch.save({**arrays, "convention": "gsplat"}, tmp_path / "b.pt")
    for name in ("a.pt", "b.pt"):
        read = load(tmp_path / name).gaussians
        assert torch.equal(read.means, g.means)
        torch.testing.assert_close(read.opacities, g.opacities)
        assert torch.equal(read.shN, g.shN)
    assert torch.equal(read.quats, g.quats.bfloat16().float())
    torch.testing.assert_close(read.log_scales, g.log_scales)


# ---- traps, made by hand


def npy(shape: tuple[int, ...], dtype: str, data: bytes) -> bytes:
    """An .npy whose header need not be true."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"shape": shape, "fortran_order": False, "descr": dtype})
    return file.getvalue() + data


def test_a_zip_bomb_of_arrays_is_refused_unopened(tmp_path):
    parts = {**members("stated.npz"), "means.npy": npy((33_000_000, 3), "<f4", bytes(400_000_000))}
    path = write_zip(tmp_path / "a.npz", parts, zipfile.ZIP_DEFLATED)
    del parts
    with pytest.raises(BadFile, match="no scene does, refused"):
        load(path)
    survives(path)


def test_an_array_that_claims_more_than_the_file_holds_allocates_nothing(tmp_path):
    for shape in ((1 << 40, 3), (1 << 62, 3), (10_000_000, 3)):
        path = write_zip(tmp_path / "a.npz", {**members("stated.npz"), "means.npy": npy(shape, "<f4", bytes(1200))})
        survives(path)
        with pytest.raises(BadFile, match=r"which no program writes|promises"):
            load(path)


@pytest.mark.parametrize("shape", [(-4, 3), (True, 3), ()])
def test_shapes_that_are_none_are_refused(tmp_path, shape):
    path = write_zip(tmp_path / "a.npz", {**members("stated.npz"), "means.npy": npy(shape, "<f4", bytes(48))})
    with pytest.raises(BadFile):
        load(path)


def test_a_huge_array_beside_a_tiny_scene_is_not_unpacked(tmp_path):
    """It packs to next to nothing, and the zip as a whole stays within what is allowed."""
    parts = {**members("stated.npz"), "extrinsics.npy": npy((1_000_000, 4, 4), "<f4", bytes(64_000_000))}
    path = write_zip(tmp_path / "a.npz", parts, zipfile.ZIP_DEFLATED)
    survives(path)
    with pytest.raises(BadFile, match="too few for an array extrinsics"):
        load(path)


def test_a_tensor_that_repeats_one_number_without_end_is_not_unrolled(tmp_path):
    arrays = arrays_of(some_gaussians(12, 0))
    for what in ("means", "harmonics"):
        many = {**arrays, what: torch.zeros(1).expand(1, 1 << 40, 3)}
        torch.save(many, tmp_path / "a.pt")
        assert (tmp_path / "a.pt").stat().st_size < 10_000
        survives(tmp_path / "a.pt")
        with pytest.raises(BadFile, match=r"which no program writes|too few"):
            load(tmp_path / "a.pt")


@pytest.mark.parametrize(("dtype", "data"), [("<U2", b"\xff" * 8), (">U2", b"\xff\0\0\0" * 2), ("|S3", b"\xff\0\n")])
def test_a_word_of_letters_that_do_not_exist_states_nothing(tmp_path, dtype, data):
    path = write_zip(tmp_path / "a.npz", {**members("stated.npz"), "convention.npy": npy((), dtype, data)})
    survives(path)
    with pytest.raises(BadFile, match="does not tell whether"):
        load(path)


@pytest.mark.parametrize("word", [np.array("gsplat"), np.array(b"gsplat"), np.array(["gsplat"], dtype=">U9")])
def test_a_word_is_read_in_any_of_numpys_ways(tmp_path, word):
    with np.load(CORPUS / "stated.npz") as arrays:
        np.savez(tmp_path / "a.npz", **{**arrays, "convention": word})
    assert any("as stated" in finding.sentence for finding in load(tmp_path / "a.npz").findings)


def test_names_that_contradict_the_content_say_what_to_do(tmp_path):
    (tmp_path / "a.npz").write_bytes((CORPUS / "tensors.pt").read_bytes())
    with pytest.raises(BadFile, match=r"rename it to end in \.pt"):
        load(tmp_path / "a.npz")
    (tmp_path / "a.pt").write_bytes((CORPUS / "stated.npz").read_bytes())
    with pytest.raises(BadFile, match=r"rename it to end in \.npz"):
        load(tmp_path / "a.pt")
    (tmp_path / "a.safetensors").write_bytes((CORPUS / "stated.npz").read_bytes())
    with pytest.raises(BadFile, match="not what its name says"):
        load(tmp_path / "a.safetensors")


def test_numbers_that_are_none_drop_their_gaussians_and_no_others(tmp_path):
    arrays = arrays_of(some_gaussians(30, 0))
    arrays["covariances"][0, 4] = torch.nan
    arrays["covariances"][0, 5, 0, 0] = torch.inf
    del arrays["scales"], arrays["rotations"]
    np.savez(tmp_path / "a.npz", **{name: values.numpy() for name, values in arrays.items()})
    read = load(tmp_path / "a.npz")
    assert len(read.gaussians) == 28
    assert [(f.kind, f.count) for f in read.findings if f.kind == "non-finite"] == [("non-finite", 2)]
