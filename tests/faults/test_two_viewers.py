"""Two viewers on one project: the second is told so, and nobody's work is written over."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from exports import scene_of

from gaussian_lens_app import formats
from gaussian_lens_app.errors import BadFile, FileError
from gaussian_lens_app.evaluation.judge import Verdict
from gaussian_lens_app.scene import Box, Camera, Patch, Region
from gaussian_lens_app.session import Session, locking, open_session
from gaussian_lens_app.session.project import new_project, open_project
from gaussian_lens_app.upgrade import UpgradeResult

BOX = Box(Camera(torch.eye(4), torch.eye(3), 8, 8), (0, 0, 8, 8))
OPENED = """
import sys, time
from pathlib import Path
from gaussian_lens_app.session.project import open_project
opened = open_project(Path(sys.argv[1]), "cpu")
print("ready", flush=True)
time.sleep(60)
"""


def growing(count: int):
    """An upgrade that adds so many Gaussians."""

    def upgrade(request, report):
        mask = torch.zeros(len(request.scene), dtype=torch.bool)
        patch = Patch(torch.empty(0, dtype=torch.long), scene_of(count), torch.full((count,), -1))
        verdict = Verdict(True, True, 1.0, 0.1, "photo", "Better.")
        return UpgradeResult(patch, Region(mask, mask.float()), verdict, {"select": 0.0, "method": 0.0, "judge": 0.0})

    return upgrade


def everything(scene, box, capture, rasterizer, *, mode, through=False) -> Region:
    return Region(torch.ones(len(scene), dtype=torch.bool), torch.ones(len(scene)))


@pytest.fixture
def folder(tmp_path) -> Path:
    """A project that nobody has open."""
    formats.save(tmp_path / "scene.ply", scene_of(12))
    session = open_session(tmp_path / "scene.ply", None, "cpu")
    project = new_project(tmp_path / "work", tmp_path / "scene.ply", None, session)
    session.close()
    return project.folder


@pytest.fixture
def elsewhere(folder):
    """Another process that has the project open."""
    process = subprocess.Popen([sys.executable, "-c", OPENED, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait(10)
    process.stdout.close()


def opened(folder: Path, added: int = 0) -> Session:
    """With an upgrade that adds so many Gaussians."""
    session, _ = open_project(folder, "cpu")
    session._upgrade, session._picker._select = growing(added), everything
    return session


def locked(folder: Path) -> bool:
    """By this process."""
    status = (folder / ".lock").stat()
    return (status.st_dev, status.st_ino) in locking._held


def test_a_project_open_in_another_process_is_refused_until_that_one_ends_even_by_kill_nine(folder, elsewhere):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for _ in range(2):
        with pytest.raises(FileError, match=r"Another viewer has the project .*work open: end that one"):
            open_project(folder, "cpu")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    os.kill(elsewhere.pid, signal.SIGKILL)
    elsewhere.wait(10)
    opened(folder).close()


def test_closing_the_session_lets_another_process_in(folder):
    session = opened(folder)
    code = OPENED.replace("time.sleep(60)", "")
    command = [sys.executable, "-c", code, str(folder)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "Another viewer has the project" in refused.stderr
    session.close()
    session.close()
    assert subprocess.run(command, capture_output=True, text=True, timeout=60).stdout == "ready\n"


def test_a_project_that_does_not_open_is_not_locked(folder):
    (folder.parent / "scene.ply").unlink()
    with pytest.raises(FileError, match="put it back"):
        open_project(folder, "cpu")
    assert not locked(folder)


def test_one_process_may_open_a_project_twice_and_keeps_it_until_both_are_closed(folder):
    one, two = opened(folder), opened(folder)
    one.close()
    assert locked(folder)
    two.close()
    assert not locked(folder)


def test_upgrades_of_two_who_cannot_lock_stay_apart(folder, monkeypatch):
    def no_locks(descriptor):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locking, "_lock", no_locks)
    one, two = opened(folder, 2), opened(folder, 5)
    for session in (one, two):
        assert session.upgrade(BOX).result(10).applied
    assert sorted(path.name for path in (folder / "patches").iterdir()) == ["0001.safetensors", "0001_2.safetensors"]
    for last, count in ((one, 14), (two, 17)):
        last.rename_region(1, "Leaf")
        again = opened(folder)
        assert len(again.scene) == count
        again.close()
    for session in (one, two):
        session.close()


def test_an_older_project_which_names_no_files_opens(folder):
    session = opened(folder, 2)
    session.upgrade(BOX).result(10)
    session.close()
    data = json.loads((folder / "project.json").read_text())
    assert data["edits"][0].pop("file") == "0001.safetensors"
    (folder / "project.json").write_text(json.dumps(data))
    again = opened(folder)
    assert len(again.scene) == 14
    again.close()


@pytest.mark.parametrize("name", ["../../scene.ply", "/etc/passwd", 7, ["x"]])
def test_an_upgrade_in_a_file_elsewhere_is_damage(folder, name):
    session = opened(folder, 2)
    session.upgrade(BOX).result(10)
    session.close()
    data = json.loads((folder / "project.json").read_text())
    data["edits"][0]["file"] = name
    (folder / "project.json").write_text(json.dumps(data))
    with pytest.raises(BadFile, match="damaged"):
        open_project(folder, "cpu")


def test_a_project_in_a_folder_where_nothing_may_be_written_opens(folder, monkeypatch):
    def read_only(path, flags, mode=0o777, **how):
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, "Read-only file system")
        return real(path, flags, mode, **how)

    real = os.open
    monkeypatch.setattr(os, "open", read_only)
    session, project = open_project(folder, "cpu")
    assert len(session.scene) == 12
    session.close()
    assert project.lock is not None


def test_a_lock_that_is_a_link_makes_no_file_outside_the_folder(folder, tmp_path):
    (folder / ".lock").unlink()
    (folder / ".lock").symlink_to(tmp_path / "outside")
    opened(folder).close()
    assert not (tmp_path / "outside").exists()
