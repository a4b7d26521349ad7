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
from gaussian_lens_app.session import Session
from gaussian_lens_app.upgrade import UpgradeResult
from gaussian_lens_app.viewer import words

BOX = Box(camera_at(0.0), (40, 40, 80, 80))
VERDICT = Verdict(True, True, 1.0, 0.1, "photo", "Better.")


def some(count: int, seed: int = 0) -> Gaussians:
    random = torch.Generator().manual_seed(seed)
    shapes = [(count, 3), (count, 4), (count, 3), (count,), (count, 1, 3), (count, 0, 3)]
    return Gaussians(*(torch.randn(shape, generator=random) for shape in shapes))


def result_for(scene: Gaussians) -> UpgradeResult:
    mask = torch.zeros(len(scene), dtype=torch.bool)
    mask[0] = True
    patch = Patch(torch.tensor([0]), some(2, 7), torch.tensor([0, -1]))
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
    return result_for(request.scene)


def ends_with_something_kept(request):
    stop = JobCancelled("cancelled")
    stop.kept = result_for(request.scene).patch
    raise stop


def ends_badly(request):
    raise ValueError("late and wrong")


@pytest.mark.parametrize("late", [ends_well, ends_with_something_kept, ends_badly])
def test_a_hung_method_is_given_up_the_next_upgrade_runs_and_the_late_result_is_nothing(late):
    hung = HangsOnce(late)
    session = Session(some(10), rasterizer=None, upgrade=hung, select=everything)
    session._worker.patience = 0.3
    before = session.scene
    job = session.upgrade(BOX)
    assert hung.begun.wait(10)
    assert session.preview is not None
    assert job.cancel()
    assert job.wait(10)
    assert session.scene is before
    said = words.failure_line(job.status)
    assert "did not stop within" in said
    assert "the scene is as it was" in said
    assert session.upgrade(BOX).result(10).applied
    swapped = session.scene
    assert session.preview is None
    hung.gate.set()
    assert hung.ended.wait(10)
    time.sleep(0.1)  # the late thread has all it needs to do harm
    assert session.scene is swapped
    assert session.preview is None
    assert session.refused is None
    assert len(session.regions) == 1
    assert job.state is JobState.CANCELLED
    session.close()


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
