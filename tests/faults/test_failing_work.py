"""Methods that fail in every way there is, and photos that vanish: the scene stays, and the user is told why."""

import dataclasses
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch
from scenes import write_capture

from gaussian_lens_app import methods
from gaussian_lens_app.errors import CaptureError, DeviceError, JobCancelled, MethodError
from gaussian_lens_app.formats import load_capture
from gaussian_lens_app.jobs import JobState
from gaussian_lens_app.methods import METHODS, Needs, Scope
from gaussian_lens_app.scene import Box, Patch
from gaussian_lens_app.session import Session


class Failing:
    """A method that does what a test hands it."""

    label = "Failing"
    summary = "For tests."
    needs = Needs.NOTHING
    scopes = (Scope.REGION,)

    def __init__(self, name, work):
        self.name, self.work = name, work

    def __call__(self, task, report):
        return self.work(task, report)


@pytest.fixture
def session(textured_board, fast_rasterizer, tmp_path):
    write_capture(textured_board.capture, tmp_path / "capture")
    session = Session(
        textured_board.scene, rasterizer=fast_rasterizer, capture=load_capture(tmp_path / "capture"), name="board"
    )
    yield session
    session.close()


@pytest.fixture
def method(monkeypatch):
    """Registers work as the method `failing`."""

    def register(work):
        monkeypatch.setitem(methods.METHODS, "failing", Failing("failing", work))
        return "failing"

    return register


def box_of(session) -> Box:
    return Box(session.capture.photos[2].camera, (90, 60, 150, 110))


def still_works(session) -> None:
    """After any fault: an ordinary upgrade runs, and can be undone."""
    before = session.scene
    outcome = session.upgrade(box_of(session), "fit-only", judge=False).result(60)
    assert outcome.applied
    session.undo()
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(session.scene.tensors(), before.tensors(), strict=True))


def spoiled(value, field):
    def work(task, report):
        rows = task.region.selected.nonzero()[:, 0]
        added = task.scene.take(rows)
        values = getattr(added, field).clone()
        values[0] = value
        return Patch(rows, dataclasses.replace(added, **{field: values}), rows)

    return work


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("field", ["means", "logit_opacities", "sh0"])
def test_values_that_are_no_numbers_never_reach_the_scene(session, method, value, field):
    before = session.scene
    job = session.upgrade(box_of(session), method(spoiled(value, field)), judge=False)
    with pytest.raises(MethodError, match=r"no numbers.*scene is as it was"):
        job.result(60)
    assert session.scene is before
    assert not session.can_undo
    assert session.refused is None


def test_what_a_stopped_method_kept_is_looked_at_too(session, method):
    def work(task, report):
        stop = JobCancelled("Stopped.")
        stop.kept = spoiled(float("nan"), "means")(task, report)
        raise stop

    before = session.scene
    job = session.upgrade(box_of(session), method(work), judge=False)
    with pytest.raises(MethodError, match=r"no numbers.*scene is as it was"):
        job.result(60)
    assert session.scene is before


def test_rows_that_are_not_there_never_reach_the_scene(session, method):
    before = session.scene
    name = method(
        lambda task, report: Patch(
            torch.tensor([len(task.scene)]), task.scene.take(torch.tensor([0])), torch.tensor([0])
        )
    )
    with pytest.raises(MethodError, match="not there"):
        session.upgrade(box_of(session), name, judge=False).result(60)
    assert session.scene is before


@pytest.mark.parametrize(
    ("raised", "expected"),
    [(MethodError("No."), MethodError), (ZeroDivisionError("x / 0"), ZeroDivisionError), (MemoryError(), DeviceError)],
)
def test_a_method_that_raises_leaves_the_scene_and_the_next_upgrade_works(session, method, raised, expected):
    def work(task, report):
        report("Half way", 0.5)
        raise raised

    before = session.scene
    job = session.upgrade(box_of(session), method(work))
    with pytest.raises(expected):
        job.result(60)
    assert job.state is JobState.FAILED
    assert session.scene is before
    still_works(session)


def test_while_a_method_hangs_the_scene_can_be_exported_and_the_session_closed(session, method, tmp_path):
    gate = threading.Event()

    def work(task, report):
        gate.wait(60)  # reports nothing, so cancelling cannot reach it
        return Patch(
            torch.empty(0, dtype=torch.long),
            task.scene.take(torch.empty(0, dtype=torch.long)),
            torch.empty(0, dtype=torch.long),
        )

    job = session.upgrade(box_of(session), method(work))
    while job.state is not JobState.RUNNING:
        time.sleep(0.01)
    assert job.cancel()
    assert session.in_background("Export", lambda report: session.export(tmp_path / "out.ply")).result(30).is_file()
    started = time.monotonic()
    session.close()
    assert time.monotonic() - started < 10
    gate.set()
    assert job.wait(30)


def test_a_photo_that_vanishes_during_the_work_is_named(session, method):
    def work(task, report):
        for photo in session.capture.photos:
            photo.source.unlink()
        return METHODS["fit-only"](task, report)

    before = session.scene
    with pytest.raises(CaptureError, match=r"Photo .* is gone"):
        session.upgrade(box_of(session), method(work)).result(60)
    assert session.scene is before


def test_a_photo_that_became_another_file_is_named(session, method):
    def work(task, report):
        for photo in session.capture.photos:
            photo.source.write_bytes(b"no picture any more")
        return METHODS["fit-only"](task, report)

    before = session.scene
    with pytest.raises(CaptureError, match="cannot be read"):
        session.upgrade(box_of(session), method(work)).result(60)
    assert session.scene is before


def test_a_program_that_reads_photos_ends_when_it_is_told_to():
    """Its libraries must not catch the signal to print where they were."""
    code = (
        "import os, signal\n"
        "from gaussian_lens_app.formats.lens import Lens\n"
        "Lens('OPENCV', 100, 80, (90.0, 90.0, 50.0, 40.0, 0.01, 0.0, 0.0, 0.0)).undistorted()\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGTERM
    assert done.stderr == ""
