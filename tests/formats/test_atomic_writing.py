"""A file appears whole or not at all."""

import errno
import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest
from splats import some_gaussians

from gaussian_lens_app.errors import ExportError, JobCancelled
from gaussian_lens_app.formats import save, write_atomically


def test_the_target_changes_only_when_the_block_ends_well(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with write_atomically(target, "w") as file:
        file.write("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_exception_in_the_block_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def write_half():
        with write_atomically(target) as file:
            file.write(b"half")
            raise JobCancelled

    with pytest.raises(JobCancelled):
        write_half()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_write_that_breaks_off_leaves_the_old_scene(tmp_path, small_files_only):
    target = tmp_path / "a.ply"
    target.write_text("old")
    with small_files_only(4096), pytest.raises(ExportError, match=r"a\.ply was not written: .*unchanged"):
        save(target, some_gaussians(1000))
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.ply"]


@pytest.mark.parametrize(
    ("code", "words"), [(errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only"), (errno.EIO, "Input/output error")]
)
def test_each_failure_of_the_disk_has_its_sentence(tmp_path, monkeypatch, code, words):
    def fail(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ExportError, match=words):
        save(tmp_path / "a.ply", some_gaussians())
    assert os.listdir(tmp_path) == []


def test_a_missing_folder_has_its_sentence(tmp_path):
    with pytest.raises(ExportError, match="folder does not exist; create it"):
        save(tmp_path / "nowhere" / "a.ply", some_gaussians())
    assert os.listdir(tmp_path) == []


def test_a_folder_as_the_target_has_its_sentence(tmp_path):
    (tmp_path / "a.ply").mkdir()
    with pytest.raises(ExportError, match="it is a folder"):
        save(tmp_path / "a.ply", some_gaussians())


@pytest.fixture
def read_only_folder():
    """A folder that this process may not write to; root, who may always, becomes nobody for the while."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield folder
    os.seteuid(user)
    folder.chmod(0o700)
    shutil.rmtree(folder)


def test_a_read_only_folder_has_its_sentence(read_only_folder):
    with pytest.raises(ExportError, match="may not write there"):
        save(read_only_folder / "a.ply", some_gaussians())
    assert os.listdir(read_only_folder) == []


def test_a_place_nobody_may_write_to_has_its_sentence():
    if not os.path.isdir("/proc/self"):
        pytest.skip("there is no /proc here")
    with pytest.raises(ExportError, match=r"a\.ply was not written"):
        save("/proc/self/a.ply", some_gaussians())


def test_permissions_are_those_of_any_new_file_or_of_the_old_one(tmp_path):
    (tmp_path / "plain").touch()
    with write_atomically(tmp_path / "new"):
        pass
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode
    (tmp_path / "new").chmod(0o640)
    with write_atomically(tmp_path / "new"):
        pass
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_a_link_keeps_pointing_at_the_file_it_stands_for(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "a.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "far" / "a.txt")
    with write_atomically(tmp_path / "link.txt", "w") as file:
        file.write("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "far" / "a.txt").read_text() == "new"


def test_a_scene_can_be_saved_over_the_file_it_came_from(tmp_path):
    from gaussian_lens_app.formats import load

    save(tmp_path / "a.ply", some_gaussians())
    before = (tmp_path / "a.ply").read_bytes()
    read = load(tmp_path / "a.ply")
    save(tmp_path / "a.ply", read.gaussians, read)
    assert (tmp_path / "a.ply").read_bytes() == before
