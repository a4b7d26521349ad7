"""Disk, memory and time run short while somebody works: what stays, and what the user reads."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from exports import scene_of

from gaussian_lens_app import formats
from gaussian_lens_app.evaluation.judge import Verdict
from gaussian_lens_app.scene import Box, Camera, Patch, Region
from gaussian_lens_app.session import Session
from gaussian_lens_app.session.project import new_project, open_project
from gaussian_lens_app.upgrade import UpgradeResult
from gaussian_lens_app.viewer import words

BOX = Box(Camera(torch.eye(4), torch.eye(3), 8, 8), (0, 0, 8, 8))
VERDICT = Verdict(True, True, 1.0, 0.1, "photo", "Better.")


def growing(request, report):
    """An upgrade that adds 500 Gaussians."""
    mask = torch.zeros(len(request.scene), dtype=torch.bool)
    patch = Patch(torch.empty(0, dtype=torch.long), scene_of(500), torch.full((500,), -1))
    return UpgradeResult(patch, Region(mask, mask.float()), VERDICT, {"select": 0.0, "method": 0.0, "judge": 0.0})


def everything(scene, box, capture, rasterizer, *, mode, through=False) -> Region:
    return Region(torch.ones(len(scene), dtype=torch.bool), torch.ones(len(scene)))


@pytest.fixture
def work(tmp_path):
    """(session, project) on disk."""
    formats.save(tmp_path / "scene.ply", scene_of(12))
    file = formats.load(tmp_path / "scene.ply")
    session = Session(file.gaussians, rasterizer=None, file=file, upgrade=growing, select=everything)
    project = new_project(tmp_path / "work", tmp_path / "scene.ply", None, session)
    yield session, project
    session.close()


def same_bits(a, b) -> bool:
    return all(torch.equal(x, y) for (_, x), (_, y) in zip(a.tensors(), b.tensors(), strict=True))


def test_an_upgrade_on_a_full_disk_is_kept_in_memory_said_to_be_unsaved_and_saved_later(work, small_files_only):
    session, project = work
    with small_files_only(4096):  # the list of edits fits, the upgrade does not
        assert session.upgrade(BOX).result(20).applied
    assert len(session.scene) == 512
    said = words.facts(session.name, session.scene, None, (), project)
    assert "Not saved in" in said
    assert "was not written" in said
    on_disk, _ = open_project(project.folder, "cpu")
    assert len(on_disk.scene) == 12
    on_disk.close()
    session.rename_region(1, "Leaf")
    assert project.told is None
    on_disk, _ = open_project(project.folder, "cpu")
    assert same_bits(on_disk.scene, session.scene)
    on_disk.close()


@pytest.mark.skipif(sys.platform != "linux", reason="address space limits are Linux's")
def test_an_upgrade_beyond_the_memory_there_is_leaves_the_scene_and_the_next_one_runs(tmp_path):
    code = f"""
import resource, sys
sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[1])!r}]
import torch
from test_scarcity import BOX, everything, growing
from exports import scene_of
from gaussian_lens_app.errors import DeviceError
from gaussian_lens_app.session import Session
from gaussian_lens_app.viewer import words
def greedy(request, report):
    if len(request.scene) == 12 and not tried:
        tried.append(torch.ones(3_000_000_000))
    return growing(request, report)
tried = []
torch.set_num_threads(1)
session = Session(scene_of(12), rasterizer=None, upgrade=greedy, select=everything)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 500_000_000, resource.RLIM_INFINITY))
before, job = session.scene, session.upgrade(BOX)
job.wait(60)
assert isinstance(job.error, DeviceError), job.error
assert session.scene is before
print(words.failure_line(job.status))
tried.append(None)
assert session.upgrade(BOX).result(60).applied
session.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Memory ran out" in done.stdout


def test_a_clock_that_runs_backwards_changes_no_job_and_no_save(work, monkeypatch):
    """By an hour at every look, as after a wrong clock was set right."""
    session, project = work
    now = [time.time()]

    def backwards() -> float:
        now[0] -= 3600
        return now[0]

    monkeypatch.setattr(time, "time", backwards)
    seen = []
    session.subscribe(lambda event: seen.append(event.status) if hasattr(event, "status") else None)
    started = time.monotonic()
    for _ in range(2):
        assert session.upgrade(BOX).result(20).applied
    assert time.monotonic() - started < 20
    assert all(status.eta_seconds is None or status.eta_seconds >= 0 for status in seen)
    session.undo()
    assert project.told is None
    again, _ = open_project(project.folder, "cpu")
    assert same_bits(again.scene, session.scene)
    again.close()
