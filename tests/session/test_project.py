"""A project's folder holds the session after its last finished step, whatever ended the process."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fakes import BOX, GOOD, Scripted, patch_of, random_scene, result_of, same_bits

from gaussian_lens_app import formats
from gaussian_lens_app.errors import BadFile, DeviceError, FileError
from gaussian_lens_app.evaluation.judge import Verdict
from gaussian_lens_app.scene import Box
from gaussian_lens_app.session import Session
from gaussian_lens_app.session import project as project_module
from gaussian_lens_app.session.looks import Pose
from gaussian_lens_app.session.project import is_project, new_project, open_project


def replacing(rows, seed):
    def make(request):
        return result_of(request.scene, patch_of(rows, random_scene(2, seed=seed), [rows[0], -1]))

    return make


@pytest.fixture
def scene(tmp_path):
    path = tmp_path / "data" / "scene.ply"
    path.parent.mkdir()
    formats.save(path, random_scene(10))
    return path


def session_on(path, *makers):
    file = formats.load(path)
    return Session(file.gaussians, rasterizer=None, file=file, name=path.name, upgrade=Scripted(*makers))


@pytest.fixture
def worked(scene, tmp_path):
    """(session, project folder) after three upgrades, one hidden, one named."""
    session = session_on(scene, replacing([0, 1], 1), replacing([9], 2), replacing([0], 3))
    project = new_project(tmp_path / "work", scene, None, session)
    for _ in range(3):
        session.upgrade(BOX).result(5)
    session.hide_region(3)
    session.rename_region(1, "Leaf")
    project.set_bookmarks((Pose(np.ones(3), np.zeros(3), np.array([0.0, -1, 0]), 0.8, "Front"),))
    project.set_up((0.0, 0.0, 1.0))
    project.set_home(project.bookmarks[0])
    yield session, project.folder
    session.close()


def test_a_reopened_project_is_as_it_was_left(worked):
    session, folder = worked
    again, project = open_project(folder, "cpu")
    assert same_bits(again.scene, session.scene)
    assert [(r.number, r.shown, again.work.name(r.number)) for r in again.regions] == [
        (1, True, "Leaf"),
        (2, True, "Region 2"),
        (3, False, "Region 3"),
    ]
    assert again.regions[1].current.outcome.verdict == session.regions[1].current.outcome.verdict
    assert project.bookmarks[0].name == "Front"
    assert project.up == (0.0, 0.0, 1.0)
    assert project.home is not None
    assert np.array_equal(project.home.position, np.ones(3))
    again.show_region(3)
    session.show_region(3)
    assert same_bits(again.scene, session.scene)
    again.close()


def test_a_version_beside_the_shown_one_can_be_flipped_to_after_reopening(scene, tmp_path):
    better = Verdict(True, True, 3.9, 0.1, GOOD.photo, "Sharper: +3.90 dB.")
    session = session_on(
        scene, lambda request: dataclasses.replace(replacing([0], 1)(request), verdict=better), replacing([0, 1], 2)
    )
    project = new_project(tmp_path / "work", scene, None, session)
    session.upgrade(BOX).result(5)
    assert session.upgrade_again(1, "fit-only").result(5).beaten_by == "refine"
    again, _ = open_project(project.folder, "cpu")
    assert same_bits(again.scene, session.scene)
    for one in (session, again):
        one.flip_region(1, 1)
    assert same_bits(again.scene, session.scene)
    for one in (session, again):
        one.close()


def test_names_that_an_older_project_gave_twice_are_told_apart(worked):
    _, folder = worked
    path = folder / "project.json"
    data = json.loads(path.read_text())
    data["names"] = {"1": "Leaf", "2": "Leaf", "3": "Selection"}
    path.write_text(json.dumps(data))
    again, _ = open_project(folder, "cpu")
    assert [again.work.name(number) for number in (1, 2, 3)] == ["Leaf", "Leaf (2)", "Selection (2)"]
    again.close()


def test_undo_goes_on_after_reopening_to_the_scene_of_the_file(worked):
    _, folder = worked
    again, _ = open_project(folder, "cpu")
    while again.undo() is not None:
        pass
    assert same_bits(again.scene, again.original.scene)
    again.close()


def test_the_box_of_a_region_survives(worked):
    _, folder = worked
    again, _ = open_project(folder, "cpu")
    box = again.regions[0].box
    assert isinstance(box, Box)
    assert box.rect == BOX.rect
    assert np.allclose(box.camera.viewmat, BOX.camera.viewmat)
    again.close()


def test_paths_are_relative_so_that_the_whole_may_move(worked, tmp_path):
    session, folder = worked
    text = (folder / "project.json").read_text()
    assert str(tmp_path) not in text
    assert json.loads(text)["scene"] == "../data/scene.ply"
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (tmp_path / "data").rename(moved / "data")
    folder.rename(moved / "work")
    again, _ = open_project(moved / "work", "cpu")
    assert same_bits(again.scene, session.scene)
    again.close()


def test_nothing_of_the_scene_or_the_photos_is_copied(worked):
    _, folder = worked
    files = {path.name for path in folder.rglob("*") if path.is_file()}
    assert files == {".lock", "project.json", "0001.safetensors", "0002.safetensors", "0003.safetensors"}


def test_another_scene_at_the_same_place_is_refused(worked, scene):
    _, folder = worked
    formats.save(scene, random_scene(4))
    with pytest.raises(FileError, match="had 10"):
        open_project(folder, "cpu")


def test_damage_is_a_sentence(worked):
    _, folder = worked
    (folder / "patches" / "0001.safetensors").write_bytes(b"no")
    with pytest.raises(BadFile, match="damaged"):
        open_project(folder, "cpu")
    (folder / "project.json").write_text("{")
    with pytest.raises(BadFile, match="damaged"):
        open_project(folder, "cpu")


def test_a_folder_with_other_things_in_it_is_left_alone(scene, tmp_path):
    session = session_on(scene)
    with pytest.raises(FileError, match="not empty"):
        new_project(scene.parent, scene, None, session)
    assert not is_project(scene.parent)
    session.close()


KILLED = """
import sys, time
sys.path[:0] = sys.argv[3:]
from pathlib import Path
from test_project import replacing, session_on
from fakes import BOX, Gated
from gaussian_lens_app.session.project import new_project
scene, folder = Path(sys.argv[1]), Path(sys.argv[2])
session = session_on(scene, replacing([0, 1], 1), replacing([2], 2), lambda request: time.sleep(60))
new_project(folder, scene, None, session)
session.upgrade(BOX).result(5)
session.upgrade(BOX).result(5)
session.upgrade(BOX)
print("ready", flush=True)
time.sleep(60)
"""


def test_after_kill_nine_the_last_finished_upgrade_is_there(scene, tmp_path):
    here = Path(__file__).parent
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(scene), str(tmp_path / "work"), str(here), str(here.parent)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    process.stdout.close()
    again, _ = open_project(tmp_path / "work", "cpu")
    assert len(again.history) == 2
    assert len(again.scene) == 10 - 3 + 4
    again.close()


@pytest.mark.parametrize("place", ["rebuilt", "load_tensors"])
@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (MemoryError(), DeviceError),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), DeviceError),
        (KeyError("edits"), BadFile),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_a_project_that_does_not_open_says_why_and_closes_its_session(worked, monkeypatch, place, problem, told):
    def fails(*_):
        raise problem

    closed = []
    monkeypatch.setattr(project_module, place, fails)
    monkeypatch.setattr(Session, "close", lambda session: closed.append(session))
    with pytest.raises(told):
        open_project(worked[1], "cpu")
    assert len(closed) == 1
    monkeypatch.undo()
    closed[0].close()
