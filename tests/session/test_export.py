"""What an export writes, read back."""

import numpy as np
import pytest
import torch
from fakes import BOX, Scripted, patch_of, random_scene, result_of, same_bits, session_of
from plyfile import PlyData, PlyElement

from gaussian_lens_app import formats
from gaussian_lens_app.errors import ExportError, UnknownFormat


@pytest.fixture
def file(tmp_path):
    """A scene file with a property of its own, big-endian."""
    plain = tmp_path / "plain.ply"
    formats.save(plain, random_scene(6, 1))
    vertex = PlyData.read(plain)["vertex"].data
    wider = np.empty(len(vertex), dtype=[*vertex.dtype.descr, ("label", "<i4")])
    for name in vertex.dtype.names:
        wider[name] = vertex[name]
    wider["label"] = [10, 11, 12, 13, 14, 15]
    path = tmp_path / "scene.ply"
    PlyData([PlyElement.describe(wider, "vertex")], byte_order=">").write(path)
    return formats.load(path)


def edited(file):
    """A session in which row 1 was taken out, row 4 replaced and one row made up."""
    maker = lambda r: result_of(r.scene, patch_of([1, 4], random_scene(2, 1, seed=9), [4, -1]))  # noqa: E731
    session = session_of(file.gaussians, Scripted(maker), file=file)
    session.upgrade(BOX).result(5)
    return session


def test_what_was_not_edited_comes_back_with_the_same_bits_and_its_own_properties(file, tmp_path):
    session = edited(file)
    out = session.export(tmp_path / "out.ply")
    session.close()
    back = formats.load(out)
    assert same_bits(back.gaussians.take(torch.arange(4)), file.gaussians.take(torch.tensor([0, 2, 3, 5])))
    vertex = PlyData.read(out)["vertex"].data
    assert vertex["label"].tolist()[:5] == [10, 12, 13, 15, 14]
    assert b"format binary_big_endian" in out.read_bytes()[:200]


def test_after_undoing_everything_the_file_is_the_one_that_was_read(file, tmp_path):
    session = edited(file)
    session.undo()
    session.export(tmp_path / "out.ply")
    session.close()
    assert (tmp_path / "out.ply").read_bytes() == file.path.read_bytes()


def test_the_verdict_stays_with_the_file(file, tmp_path):
    session = edited(file)
    out = session.export(tmp_path / "out.ply")
    session.close()
    assert "Better by 2.0 dB" in out.read_bytes().split(b"end_header")[0].decode()


def test_a_path_that_cannot_be_written_is_a_sentence_and_leaves_what_stood_there(file, tmp_path):
    session = edited(file)
    (tmp_path / "folder.ply").mkdir()
    with pytest.raises(ExportError):
        session.export(tmp_path / "folder.ply")
    with pytest.raises(ExportError):
        session.export(tmp_path / "no such folder" / "out.ply")
    with pytest.raises(UnknownFormat):
        session.export(tmp_path / "out.docx")
    session.close()
    assert (tmp_path / "folder.ply").is_dir()


def test_a_home_relative_path_is_understood(file, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    session = edited(file)
    assert session.export("~/mine.ply") == tmp_path / "mine.ply"
    session.close()
