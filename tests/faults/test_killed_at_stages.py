"""Killed at any stage of a job, an autosave or an export, the project opens as after its last finished upgrade."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from exports import NEW, OLD, standing
from killed_at_stages import AFTER, BEFORE, BUDGET, EXPORTS, METHOD, STAGES, box_of
from scenes import write_capture

from gaussian_lens_app import formats
from gaussian_lens_app.scene import Gaussians
from gaussian_lens_app.session import open_session
from gaussian_lens_app.session.project import new_project, open_project


@pytest.fixture(scope="module")
def killed(textured_board, tmp_path_factory) -> tuple[Path, Gaussians]:
    """(folder with a killed project of every stage, the scene after the one upgrade finished before)."""
    root = tmp_path_factory.mktemp("killed")
    first = root / "pristine"
    write_capture(textured_board.capture, first / "capture")
    formats.save(first / "scene.ply", textured_board.scene)
    session = open_session(first / "scene.ply", first / "capture", "cpu")
    new_project(first / "work", first / "scene.ply", first / "capture", session)
    assert session.upgrade(box_of(session), METHOD, BUDGET, judge=False).result(120).applied
    session.close()
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, str(here / "killed_at_stages.py"), str(root)],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "PYTHONPATH": str(here.parent)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ended = json.loads(done.stdout)
    assert {stage: os.WIFSIGNALED(status) and os.WTERMSIG(status) for stage, status in ended.items()} == dict.fromkeys(
        STAGES, signal.SIGKILL
    )
    return root, session.scene


def same_bits(a: Gaussians, b: Gaussians) -> bool:
    return all(torch.equal(x, y) for (_, x), (_, y) in zip(a.tensors(), b.tensors(), strict=True))


@pytest.mark.parametrize("stage", [*BEFORE, *EXPORTS])
def test_killed_before_the_upgrade_is_on_disk_the_one_before_it_is_there(killed, stage):
    root, after_first = killed
    session, project = open_project(root / stage / "work", "cpu")
    assert len(session.history) == 1
    assert same_bits(session.scene, after_first)
    assert project.told is None
    session.close()


@pytest.mark.parametrize("stage", AFTER)
def test_killed_as_soon_as_the_upgrade_is_on_disk_it_is_there(killed, stage):
    root, after_first = killed
    session, _ = open_project(root / stage / "work", "cpu")
    assert len(session.history) == 2
    assert not same_bits(session.scene, after_first)
    session.undo()
    assert same_bits(session.scene, after_first)
    session.close()


@pytest.mark.parametrize("stage", ["swapping", "patch-unnamed", "list-unsynced", "list-unnamed"])
def test_what_a_killed_save_left_behind_is_in_nobodys_way(killed, stage, tmp_path):
    """The next upgrade has the same number as the one that was lost."""
    shutil.copytree(killed[0] / stage, tmp_path / "copy")
    session, project = open_project(tmp_path / "copy" / "work", "cpu")
    assert session.upgrade(box_of(session), METHOD, BUDGET, judge=False).result(120).applied
    assert project.told is None
    session.close()
    again, _ = open_project(tmp_path / "copy" / "work", "cpu")
    assert same_bits(again.scene, session.scene)
    again.close()


@pytest.mark.parametrize("stage", EXPORTS)
def test_killed_during_an_export_the_target_is_the_old_file_or_the_new(killed, stage):
    assert standing(killed[0] / stage / "out.ply") == (NEW if stage == "export-named" else OLD)
