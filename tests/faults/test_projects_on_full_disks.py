"""A project that cannot be written can still be opened; one that cannot be made is refused in a sentence."""

from __future__ import annotations

import errno
import threading
import time
from pathlib import Path

import pytest
import torch
from exports import scene_of

from gaussian_lens_app import formats
from gaussian_lens_app.errors import ExportError
from gaussian_lens_app.formats.atomic import export_error
from gaussian_lens_app.session import open_session
from gaussian_lens_app.session import project as module
from gaussian_lens_app.session.project import new_project, open_project


@pytest.fixture
def scene(tmp_path) -> Path:
    formats.save(tmp_path / "scene.ply", scene_of(12))
    return tmp_path / "scene.ply"


@pytest.fixture
def full_disk(monkeypatch):
    """From its call on nothing can be written; calling what it gives back makes room again."""

    def full(path, mode="wb"):
        raise export_error(path, OSError(errno.ENOSPC, "No space left on device"))

    def fill():
        monkeypatch.setattr("gaussian_lens_app.session.project.write_atomically", full)
        return monkeypatch.undo

    return fill


def test_a_project_that_cannot_be_written_opens_and_says_so_until_it_can(scene, tmp_path, full_disk):
    session = open_session(scene, None, "cpu")
    folder = new_project(tmp_path / "work", scene, None, session).folder
    session.close()
    make_room = full_disk()
    again, project = open_project(folder, "cpu")
    assert len(again.scene) == 12
    assert "disk is full" in str(project.told)
    make_room()
    again.rename_region(1, "Leaf")
    assert project.told is None
    again.close()


def test_a_folder_that_cannot_be_made_is_a_sentence(scene, tmp_path):
    (tmp_path / "file").write_text("")
    session = open_session(scene, None, "cpu")
    with pytest.raises(ExportError, match="was not written"):
        new_project(tmp_path / "file" / "work", scene, None, session)
    session.close()


@pytest.mark.parametrize("there", [False, True])
def test_a_project_that_cannot_be_made_leaves_nothing_behind(scene, tmp_path, full_disk, there):
    if there:
        (tmp_path / "work").mkdir()
    session = open_session(scene, None, "cpu")
    make_room = full_disk()
    for _ in range(2):
        with pytest.raises(ExportError, match="disk is full"):
            new_project(tmp_path / "work", scene, None, session)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["scene.ply", *(["work"] if there else [])]
    make_room()
    assert new_project(tmp_path / "work", scene, None, session).told is None
    session.close()


def test_upgrades_written_before_the_disk_was_full_go_with_the_project_that_could_not_be_made(
    scene, tmp_path, monkeypatch
):
    def full(path, mode="wb"):
        if path.name == "project.json":
            raise export_error(path, OSError(errno.ENOSPC, "No space left on device"))
        return real(path, mode)

    real = module.write_atomically
    monkeypatch.setattr(module, "write_atomically", full)
    session = open_session(scene, None, "cpu")
    session.delete_splats(lambda _: torch.arange(12) == 3, "One less")
    with pytest.raises(ExportError, match="disk is full"):
        new_project(tmp_path / "work", scene, None, session)
    assert [path.name for path in tmp_path.rglob("*")] == ["scene.ply"]
    session.close()


def test_a_project_that_cannot_be_made_leaves_no_thread_and_no_listener(scene, tmp_path, full_disk):
    session = open_session(scene, None, "cpu")
    full_disk()
    with pytest.raises(ExportError, match="disk is full"):
        new_project(tmp_path / "work", scene, None, session)
    assert session._listeners == ()
    session.close()
    end = time.monotonic() + 10
    while any(thread.name in ("upgrades", "files", "films", "selection") for thread in threading.enumerate()):
        assert time.monotonic() < end
        time.sleep(0.01)
