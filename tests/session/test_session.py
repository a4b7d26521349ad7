"""What a session promises: nothing changes but by an edit, and every edit is told."""

import threading
import time

import pytest
import torch
from fakes import (
    BAD,
    BOX,
    Gated,
    InTurn,
    Scripted,
    everything,
    patch_of,
    random_scene,
    result_of,
    same_bits,
    session_of,
)

from gaussian_lens_app.errors import CaptureError, DeviceError, JobCancelled, MethodError
from gaussian_lens_app.jobs import JobState
from gaussian_lens_app.scene import Region
from gaussian_lens_app.session import JobChanged, Judged, SceneChanged, SelectionChanged


def adding(count, removed=(), verdict=None, selected=None):
    """A maker of a result that adds `count` rows."""

    def make(request):
        patch = patch_of(list(removed), random_scene(count, seed=count))
        return result_of(request.scene, patch, **({} if verdict is None else {"verdict": verdict}), selected=selected)

    return make


def until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_an_upgrade_returns_at_once_and_swaps_when_it_is_done():
    work = Gated(adding(2))
    scene = random_scene(3)
    session = session_of(scene, work)
    job = session.upgrade(BOX)
    assert work.begun.wait(5)
    assert session.scene is scene
    assert session.busy
    work.gate.set()
    outcome = job.result(5)
    assert outcome.applied
    assert len(session.scene) == 5
    session.close()


def test_a_refused_upgrade_leaves_the_scene_and_is_kept_for_forcing():
    scene = random_scene(3)
    session = session_of(scene, Scripted(adding(2, verdict=BAD)))
    outcome = session.upgrade(BOX).result(5)
    assert not outcome.applied
    assert session.scene is scene
    assert session.refused is not None
    assert session.force().applied
    assert len(session.scene) == 5
    assert session.refused is None
    session.close()


def test_forcing_with_nothing_refused_is_an_error():
    session = session_of(random_scene(3))
    with pytest.raises(MethodError, match="no refused upgrade"):
        session.force()
    session.close()


def test_an_error_in_an_upgrade_belongs_to_its_job_and_leaves_the_scene():
    def fail(request):
        raise MethodError("This method cannot.")

    scene = random_scene(3)
    session = session_of(scene, Scripted(fail, adding(1)))
    bad, good = session.upgrade(BOX), session.upgrade(BOX)
    with pytest.raises(MethodError, match="cannot"):
        bad.result(5)
    assert good.result(5).applied
    assert len(session.scene) == 4
    session.close()


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 B")]
)
def test_memory_that_runs_out_is_a_sentence_and_leaves_the_scene(error):
    def fail(request):
        raise error

    scene = random_scene(3)
    session = session_of(scene, Scripted(fail))
    job = session.upgrade(BOX)
    with pytest.raises(DeviceError, match="Memory ran out"):
        job.result(5)
    assert session.scene is scene
    session.close()


def test_other_runtime_errors_are_not_taken_for_lack_of_memory():
    def fail(request):
        raise RuntimeError("shapes do not match")

    session = session_of(random_scene(3), Scripted(fail))
    with pytest.raises(RuntimeError, match="shapes"):
        session.upgrade(BOX).result(5)
    session.close()


def test_a_cancelled_upgrade_leaves_the_scene():
    work = Gated(adding(1))
    scene = random_scene(3)
    session = session_of(scene, work)
    job = session.upgrade(BOX)
    assert work.begun.wait(5)
    job.cancel()
    with pytest.raises(JobCancelled):
        job.result(1)
    assert session.scene is scene
    assert not session.can_undo
    session.close()


def test_a_queued_upgrade_works_on_the_scene_the_one_before_it_left():
    work = Scripted(adding(2), adding(3))
    session = session_of(random_scene(3), work)
    jobs = [session.upgrade(BOX), session.upgrade(BOX)]
    for job in jobs:
        job.result(5)
    assert [len(request.scene) for request in work.requests] == [3, 5]
    assert len(session.scene) == 8
    session.close()


def test_an_upgrade_whose_splats_an_undo_took_away_is_refused_with_a_sentence():
    scene = random_scene(6)
    work = Gated(adding(2, removed=[5]))
    session = session_of(scene, InTurn(Scripted(adding(1, removed=[0])), work))
    session.upgrade(BOX).result(5)  # takes out row 0, so every row moves up
    job = session.upgrade(BOX)
    assert work.begun.wait(5)
    session.undo()  # row 0 is back: the patch's row 5 of then, the added one, is gone
    work.gate.set()
    with pytest.raises(MethodError, match="have changed since"):
        job.result(5)
    assert same_bits(session.scene, scene)
    session.close()


def test_an_upgrade_is_carried_to_the_scene_an_undo_left_when_its_splats_are_still_there():
    scene = random_scene(6)
    work = Gated(adding(2, removed=[1, 2]))  # rows 2 and 3 of the file
    session = session_of(scene, InTurn(Scripted(adding(1, removed=[0])), work))
    session.upgrade(BOX).result(5)
    job = session.upgrade(BOX)
    assert work.begun.wait(5)
    session.undo()
    work.gate.set()
    assert job.result(5).applied
    assert session.sources.tolist() == [0, 1, 4, 5, -1, -1]
    assert torch.equal(session.scene.means[:4], scene.means[[0, 1, 4, 5]])
    session.undo()
    assert same_bits(session.scene, scene)
    session.close()


def test_an_upgrade_that_only_adds_is_not_carried_when_what_it_was_made_from_is_gone():
    work = Gated(adding(2, selected=[4]))  # made from the row the first one added
    session = session_of(random_scene(4), InTurn(Scripted(adding(1)), work))
    session.upgrade(BOX).result(5)
    job = session.upgrade(BOX)
    assert work.begun.wait(5)
    session.undo()
    work.gate.set()
    with pytest.raises(MethodError, match="have changed since"):
        job.result(5)
    session.close()


def test_history_keeps_patches_and_not_scenes():
    session = session_of(random_scene(1000), Scripted(*(adding(1, removed=[i]) for i in range(5))))
    for _ in range(5):
        session.upgrade(BOX).result(5)
    kept = sum(t.numel() for edit in session.history for p in (edit.patch, edit.inverse) for _, t in p.added.tensors())
    assert kept == 5 * 2 * 14
    session.close()


def test_the_upgrade_gets_the_region_that_was_shown_and_a_changed_scene_gets_a_new_one():
    work = Scripted(adding(1), adding(1))
    session = session_of(random_scene(3), work)
    session.select(BOX)
    until(lambda: session.selection is not None and session.selection.region is not None)
    shown = session.selection.region
    session.upgrade(BOX).result(5)
    session.upgrade(BOX).result(5)
    assert work.requests[0].region is shown
    assert work.requests[1].region is None
    session.close()


def test_selecting_tells_the_box_first_and_then_what_is_in_it():
    events = []
    session = session_of(random_scene(3))
    session.subscribe(events.append)
    session.select(BOX)
    until(lambda: len(events) == 2)
    assert [event.selection.pending for event in events] == [True, False]
    assert events[1].selection.region.count == 3
    session.clear_selection()
    assert session.selection is None
    session.close()


def test_only_the_newest_box_is_answered():
    gate = threading.Event()

    def slow(scene, box, *args, **kwargs):
        gate.wait(5)
        return everything(scene, box, *args, **kwargs)

    session = session_of(random_scene(3), select=slow)
    other = type(BOX)(BOX.camera, (0, 0, 9, 9))
    session.select(BOX)
    session.select(other)
    gate.set()
    until(lambda: session.selection.region is not None)
    assert session.selection.box is other
    session.close()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (CaptureError("The box lies outside."), "outside"),
        (ArithmeticError("Out of tune."), "ArithmeticError: Out of tune."),
    ],
)
def test_an_error_of_any_kind_while_selecting_is_kept_with_the_box_and_ends_the_looking(error, said):
    def fail(*args, **kwargs):
        raise error

    session = session_of(random_scene(3), select=fail)
    session.select(BOX)
    until(lambda: not session.selection.pending)
    assert said in str(session.selection.error)
    session.close()


def test_a_swap_drops_the_region_found_in_the_old_scene_and_keeps_the_box():
    session = session_of(random_scene(3), Scripted(adding(1)))
    session.select(BOX)
    until(lambda: session.selection.region is not None)
    session.upgrade(BOX).result(5)
    assert session.selection.box is BOX
    assert session.selection.region is None
    session.close()


def test_a_region_of_a_scene_that_was_swapped_meanwhile_is_not_shown():
    gate = threading.Event()

    def slow(scene, box, capture, rasterizer, **kwargs):
        gate.wait(5)
        return Region(torch.ones(len(scene), dtype=torch.bool), torch.ones(len(scene)))

    session = session_of(random_scene(3), Scripted(adding(1)), select=slow)
    session.select(BOX)
    session.upgrade(BOX).result(5)
    session.select(BOX)
    gate.set()
    until(lambda: not session.selection.pending)
    region = session.selection.region
    assert region is None or len(region.selected) == len(session.scene)
    session.close()


def test_listeners_hear_the_job_the_swap_and_the_verdict_and_can_leave():
    events = []
    session = session_of(random_scene(3), Scripted(adding(1), adding(1)))
    leave = session.subscribe(events.append)
    job = session.upgrade(BOX)
    job.result(5)
    until(lambda: isinstance(events[-1], JobChanged) and events[-1].status.state is JobState.DONE)
    kinds = [type(event) for event in events]
    assert kinds.index(SceneChanged) < kinds.index(Judged)
    states = [event.status.state for event in events if isinstance(event, JobChanged)]
    assert states[0] is JobState.RUNNING
    assert not any(isinstance(event, SelectionChanged) for event in events)
    leave()
    heard = len(events)
    session.upgrade(BOX).result(5)
    assert len(events) == heard
    session.close()


def test_a_listener_that_fails_does_not_stop_the_others_or_the_upgrade():
    heard = []

    def broken(event):
        raise ValueError("not mine")

    session = session_of(random_scene(3), Scripted(adding(1)))
    session.subscribe(broken)
    session.subscribe(heard.append)
    assert session.upgrade(BOX).result(5).applied
    assert any(isinstance(event, SceneChanged) for event in heard)
    session.close()


def test_closing_ends_every_thread():
    before = set(threading.enumerate())
    session = session_of(random_scene(3), Gated(adding(1)))
    session.upgrade(BOX)
    session.close()
    until(lambda: not (set(threading.enumerate()) - before))


def test_the_outcome_counts_new_changed_and_gone():
    maker = lambda r: result_of(r.scene, patch_of([0, 2, 4], random_scene(4), [0, 0, 2, -1]))  # noqa: E731
    session = session_of(random_scene(6), Scripted(maker))
    outcome = session.upgrade(BOX).result(5)
    assert (outcome.added, outcome.changed, outcome.removed) == (2, 2, 1)  # a second heir of row 0 is a new one
    session.close()
