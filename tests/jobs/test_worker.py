"""Jobs run in order, tell their progress, stop when told, and keep their errors to themselves."""

import subprocess
import sys
import threading
import time

import pytest

from gaussian_lens_app.errors import JobCancelled
from gaussian_lens_app.jobs import JobState, LatestOnly, Worker, before_landing
from gaussian_lens_app.jobs.job import _Pace


@pytest.fixture
def worker():
    worker = Worker()
    yield worker
    worker.close()


def test_jobs_run_one_at_a_time_in_the_order_asked(worker):
    running, order = [], []

    def work(number):
        def do(report):
            running.append(number)
            assert len(running) == 1
            time.sleep(0.01)
            running.remove(number)
            order.append(number)
            return number

        return do

    jobs = [worker.submit(f"job {number}", work(number)) for number in range(5)]
    assert [job.result(5) for job in jobs] == order == [0, 1, 2, 3, 4]


def test_submitting_returns_before_the_work_is_done(worker):
    gate = threading.Event()
    job = worker.submit("slow", lambda report: gate.wait(5))
    assert not job.state.finished
    gate.set()
    assert job.result(5) is True


def test_cancel_takes_effect_within_a_second_of_work_that_reports_every_half(worker):
    def work(report):
        while True:
            report("Looping", 0.1)
            time.sleep(0.5)

    job = worker.submit("endless", work)
    while job.state is not JobState.RUNNING:
        time.sleep(0.01)
    asked = time.monotonic()
    assert job.cancel()
    assert job.wait(2)
    assert time.monotonic() - asked < 1
    assert job.state is JobState.CANCELLED
    with pytest.raises(JobCancelled):
        job.result()


def test_a_waiting_job_is_cancelled_at_once_and_never_starts(worker):
    gate, started = threading.Event(), []
    first = worker.submit("first", lambda report: gate.wait(5))
    second = worker.submit("second", lambda report: started.append(True))
    assert second.cancel()
    assert second.state is JobState.CANCELLED
    gate.set()
    first.result(5)
    assert worker.submit("third", lambda report: "alive").result(5) == "alive"
    assert not started


def test_cancelling_a_finished_job_changes_nothing(worker):
    job = worker.submit("quick", lambda report: 7)
    assert job.result(5) == 7
    assert not job.cancel()
    assert job.state is JobState.DONE


def test_an_exception_belongs_to_its_job_and_the_worker_lives_on(worker):
    def work(report):
        raise ValueError("only mine")

    failed = worker.submit("bad", work)
    fine = worker.submit("good", lambda report: "fine")
    with pytest.raises(ValueError, match="only mine"):
        failed.result(5)
    assert failed.state is JobState.FAILED
    assert fine.result(5) == "fine"
    assert fine.error is None


def test_the_fraction_never_falls_and_ends_at_one(worker):
    seen = []

    def work(report):
        for fraction in (0.1, 0.5, 0.3, 0.6, 1.7):
            report(f"at {fraction}", fraction)

    job = worker.submit("wobbly", work, lambda job: seen.append(job.status.fraction))
    job.result(5)
    while not seen or seen[-1] < 1 or job.status.state is not JobState.DONE:
        time.sleep(0.01)
    assert seen == sorted(seen)
    assert max(seen) == 1.0


def test_the_time_left_is_estimated_from_the_time_spent(worker):
    etas = []

    def work(report):
        time.sleep(0.4)
        report("Halfway", 0.5)
        etas.append(job.status.eta_seconds)

    job = worker.submit("half", work)
    job.result(5)
    assert etas[0] == pytest.approx(0.4, abs=0.15)
    assert job.status.eta_seconds is None


def test_closing_ends_the_thread_and_cancels_what_waits():
    worker = Worker("closing")

    def work(report):
        while True:
            report("Looping", 0)
            time.sleep(0.05)

    jobs = [worker.submit("a", work), worker.submit("b", work)]
    worker.close()
    assert all(job.state is JobState.CANCELLED for job in jobs)
    assert not any(thread.name == "closing" for thread in threading.enumerate())
    with pytest.raises(RuntimeError):
        worker.submit("late", work)


class Hanging:
    """Work that reports nothing until the test lets it go."""

    def __init__(self):
        self.begun, self.gate, self.landed, self.ended = (threading.Event() for _ in range(4))

    def __call__(self, report):
        try:
            self.begun.set()
            self.gate.wait(20)
            before_landing()
            self.landed.set()
            return "late"
        finally:
            self.ended.set()


def test_a_job_that_does_not_answer_is_given_up_and_the_next_one_runs():
    worker, hanging, told = Worker("patient", patience=0.2), Hanging(), []
    job = worker.submit("hung", hanging, lambda job: told.append((job.state, job.status.stage)))
    after = worker.submit("after", lambda report: "alive")
    assert hanging.begun.wait(5)
    assert job.cancel()
    assert job.status.stage == "Stopping"
    assert after.result(5) == "alive"
    assert job.state is JobState.CANCELLED
    with pytest.raises(JobCancelled, match="did not stop within"):
        job.result(5)
    assert told[-1] == (JobState.CANCELLED, "Given up")
    hanging.gate.set()
    worker.close()


def test_what_a_given_up_job_makes_later_is_thrown_away_and_its_thread_ends():
    worker, hanging, told = Worker("patient", patience=0.1), Hanging(), []
    job = worker.submit("hung", hanging, lambda job: told.append(job.status))
    assert hanging.begun.wait(5)
    job.cancel()
    assert job.wait(5)
    assert worker.submit("next", lambda report: "alive").result(5) == "alive"  # so that all was told
    news = len(told)
    hanging.gate.set()
    assert hanging.ended.wait(5)
    worker.close()
    end = time.monotonic() + 5
    while any(thread.name == "patient" for thread in threading.enumerate()) and time.monotonic() < end:
        time.sleep(0.01)
    assert not any(thread.name == "patient" for thread in threading.enumerate())
    assert not hanging.landed.is_set()
    assert job.status.stage == "Given up"
    assert len(told) == news


def test_a_thread_whose_job_was_given_up_takes_no_other_job():
    """Even where its work ends just before another thread takes over."""
    worker, hanging, takes_over, at_work = Worker("patient", patience=0.1), Hanging(), threading.Event(), []

    def leave_late(job):
        hanging.gate.set()
        assert hanging.ended.wait(5)
        time.sleep(0.2)
        leave(job)
        takes_over.set()

    def slow(report):
        at_work.append(threading.current_thread())
        assert takes_over.wait(5)

    job = worker.submit("hung", hanging)
    leave, job._leave = job._leave, leave_late
    assert hanging.begun.wait(5)
    hung = worker._thread
    jobs = [worker.submit(f"after {number}", slow) for number in range(2)]
    job.cancel()
    for after in jobs:
        after.result(5)
    assert set(at_work) == {worker._thread}
    assert worker._thread is not hung
    worker.close()


def test_a_job_that_has_begun_to_land_is_not_given_up():
    worker, landing, go_on = Worker("patient", patience=0.1), threading.Event(), threading.Event()

    def work(report):
        before_landing()
        landing.set()
        go_on.wait(5)
        return "landed"

    job = worker.submit("slow to land", work)
    assert landing.wait(5)
    job.cancel()
    assert not job.wait(0.3)
    go_on.set()
    assert job.result(5) == "landed"
    worker.close()


def test_a_job_that_answers_in_time_leaves_no_timer():
    worker = Worker("patient", patience=30)

    def work(report):
        while True:
            report("Looping", 0)
            time.sleep(0.01)

    job = worker.submit("good", work)
    while job.state is not JobState.RUNNING:
        time.sleep(0.01)
    job.cancel()
    assert job.wait(5)
    worker.close()
    assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]


def test_only_the_latest_request_is_done():
    gate, done, errors = threading.Event(), [], []
    latest = LatestOnly("latest", errors.append)
    latest.submit(lambda: gate.wait(5) and done.append("first"))
    time.sleep(0.05)
    for name in ("second", "third", "fourth"):
        latest.submit(lambda name=name: done.append(name))
    gate.set()
    finished = threading.Event()
    while len(done) < 2:
        time.sleep(0.01)
    latest.submit(finished.set)
    assert finished.wait(5)
    assert done == ["first", "fourth"]
    latest.close()
    assert not errors


def test_an_error_in_the_latest_request_is_told_and_the_next_still_runs():
    errors, finished = [], threading.Event()
    latest = LatestOnly("latest", errors.append)
    latest.submit(lambda: 1 / 0)
    while not errors:
        time.sleep(0.01)
    latest.submit(finished.set)
    assert finished.wait(5)
    assert isinstance(errors[0], ZeroDivisionError)
    latest.close()


def test_jobs_need_neither_torch_nor_viser():
    code = "import sys, gaussian_lens_app.jobs; print(sorted({'torch', 'viser'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_time_left_follows_the_speed_of_the_last_seconds():
    """A quick first stage would promise an early end, which then moves away for as long as the work goes on."""
    pace = _Pace(0.0)
    pace.left(1.0, 0.5)  # half of it in a second ...
    for second in range(2, 40):  # ... and a hundredth in each one after
        left = pace.left(float(second), 0.5 + 0.01 * (second - 1))
    assert left == pytest.approx(100 * (0.5 - 0.38), rel=0.05)


def test_work_of_many_minutes_has_a_time_left_too():
    pace = _Pace(0.0)
    told = [pace.left(float(second), second / 1200) for second in range(1, 400)]
    assert told[-1] == pytest.approx(1200 - 399, rel=0.02)
    assert None not in told[60:]
