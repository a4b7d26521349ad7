"""A hung method that does not hear that it was cancelled is given up after a while; what it makes later is nothing."""

import threading
import time

import pytest
import torch
from scenes import camera_at

from gaussian_lens_app.errors import JobCancelled
from gaussian_lens_app.evaluation.judge import Verdict
from gaussian_lens_app.jobs import JobState
from gaussian_lens_app.scene import Box, Gaussians, Patch, Region
from gaussian_lens_app.session import JobChanged, Session
from gaussian_lens_app.upgrade import UpgradeResult
from gaussian_lens_app.viewer import words

BOX = Box(camera_at(0.0), (40, 40, 80, 80))
LATE_ROW = 5
"""Another row than the next upgrade replaces, so that nothing else keeps the late result out."""
VERDICT = Verdict(True, True, 1.0, 0.1, "photo", "Better.")


def some(count: int, seed: int = 0) -> Gaussians:
    random = torch.Generator().manual_seed(seed)
    shapes = [(count, 3), (count, 4), (count, 3), (count,), (count, 1, 3), (count, 0, 3)]
    return Gaussians(*(torch.randn(shape, generator=random) for shape in shapes))


def result_for(scene: Gaussians, row: int = 0) -> UpgradeResult:
    mask = torch.zeros(len(scene), dtype=torch.bool)
    mask[row] = True
    patch = Patch(torch.tensor([row]), some(2, 7), torch.tensor([row, -1]))
    return UpgradeResult(patch, Region(mask, mask.float()), VERDICT, {"select": 0.0, "method": 0.0, "judge": 0.0})


def everything(scene, box, capture, rasterizer, *, mode, through=False) -> Region:
    return Region(torch.ones(len(scene), dtype=torch.bool), torch.ones(len(scene)))


class HangsOnce:
    """An `upgrade` whose first call hangs until the test lets it go; then it ends as `late` says."""

    def __init__(self, late):
        self.late, self.calls = late, 0
        self.begun, self.gate, self.ended = threading.Event(), threading.Event(), threading.Event()

    def __call__(self, request, report):
        self.calls += 1
        if self.calls > 1:
            return result_for(request.scene)
        request.preview(result_for(request.scene).patch)
        self.begun.set()
        self.gate.wait(30)
        try:
            request.preview(result_for(request.scene).patch)
            return self.late(request)
        finally:
            self.ended.set()


def ends_well(request):
    return result_for(request.scene, LATE_ROW)


def ends_with_something_kept(request):
    stop = JobCancelled("cancelled")
    stop.kept = result_for(request.scene, LATE_ROW).patch
    raise stop


def ends_badly(request):
    raise ValueError("late and wrong")


@pytest.fixture
def hanging():
    """Makes (session, its hanging upgrade, the first job, begun and cancelled and given up)."""
    made = []

    def make(late):
        hung, told = HangsOnce(late), threading.Event()
        session = Session(some(10), rasterizer=None, upgrade=hung, select=everything)
        made.append(session)
        session._worker.patience = 0.3
        session.subscribe(lambda event: told.set() if isinstance(event, JobChanged) and event.job.given_up else None)
        job = session.upgrade(BOX)
        assert hung.begun.wait(10)
        assert session.preview is not None
        assert job.cancel()
        assert told.wait(10)
        return session, hung, job

    yield make
    for session in made:
        session.close()


def let_end(hung: HangsOnce) -> None:
    hung.gate.set()
    assert hung.ended.wait(10)
    time.sleep(0.1)  # the late thread has all it needs to do harm


@pytest.mark.parametrize("late", [ends_well, ends_with_something_kept, ends_badly])
def test_the_late_result_of_a_method_that_was_given_up_is_nothing(hanging, late):
    session, hung, job = hanging(late)
    before, seen = session.scene, []
    session.subscribe(lambda event: seen.append(type(event).__name__))
    said = words.failure_line(job.status)
    assert "did not stop within" in said
    assert "the scene is as it was" in said
    let_end(hung)
    assert seen == []
    assert session.scene is before
    assert session.preview is None
    assert session.refused is None
    assert not session.regions
    assert job.state is JobState.CANCELLED


def test_after_a_method_was_given_up_the_next_upgrade_runs_and_stays(hanging):
    session, hung, _ = hanging(ends_with_something_kept)
    assert session.upgrade(BOX).result(10).applied
    swapped = session.scene
    let_end(hung)
    assert session.scene is swapped
    assert len(session.regions) == 1


def test_while_it_has_time_left_to_answer_the_user_reads_that_it_is_stopping():
    hung = HangsOnce(ends_well)
    session = Session(some(10), rasterizer=None, upgrade=hung, select=everything)
    job = session.upgrade(BOX)
    assert hung.begun.wait(10)
    job.cancel()
    assert words.progress_line(job.status) == "Stopping"
    hung.gate.set()
    assert job.wait(10)
    assert words.failure_line(job.status) == "Cancelled; the scene is as it was."
    session.close()
