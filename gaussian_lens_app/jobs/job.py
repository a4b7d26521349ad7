"""A piece of background work that can be watched, cancelled and waited for."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Generic, TypeVar

from gaussian_lens_app.errors import JobCancelled
from gaussian_lens_app.jobs.report import Report

T = TypeVar("T")

LOOK_BACK = 5.0
"""Time left is told by the speed of so many seconds, at least."""
NOTIFY_SECONDS = 0.1
"""Listeners hear of progress at most this often; a change of stage or state is told at once."""
PATIENCE = 15.0
"""Seconds that a cancelled job has to answer; work reports every half second, even on a machine far too busy in less
than this. After that it is given up: Python cannot end a thread, but nobody waits for it any more."""

_running = threading.local()


class JobState(Enum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def finished(self) -> bool:
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True)
class JobStatus:
    """A snapshot of a job; a reader needs no lock."""

    name: str
    state: JobState = JobState.QUEUED
    stage: str = "Waiting"
    fraction: float = 0.0
    """Of the whole job, 0..1; never falls."""
    eta_seconds: float | None = None
    """Seconds left, None while nothing can be said."""
    error: BaseException | None = None


class Job(Generic[T]):
    """Work handed to a `Worker`; an exception it raises stays here, to be raised again at who asks for the result."""

    def __init__(
        self,
        name: str,
        work: Callable[[Report], T],
        changed: Callable[[Job[T]], None],
        given_up: Callable[[Job[T]], None] = lambda _: None,
        patience: float = PATIENCE,
    ):
        """`given_up(job)` is called when the job did not answer to `cancel` for `patience` seconds."""
        self.status = JobStatus(name)
        self.given_up = False
        """Cancelled, but its work has not ended: what comes of it is thrown away."""
        self._work = work
        self._changed = changed
        self._leave = given_up
        self._patience = patience
        self._timer: threading.Timer | None = None
        self._landing = False
        self._cancelled = threading.Event()
        self._finished = threading.Event()
        self._lock = threading.Lock()
        self._result: T | None = None
        self._pace = _Pace(0.0)
        self._told = 0.0

    @property
    def state(self) -> JobState:
        return self.status.state

    @property
    def error(self) -> BaseException | None:
        return self.status.error

    def cancel(self) -> bool:
        """Ask it to stop; False when it is over already.

        One that waits never starts. One at work stops at its next report, or is given up when none comes for a while:
        what it makes is then thrown away. It may still end well, where its work is done before either happens; `state`
        says so once `wait` is over.
        """
        with self._lock:
            if self.state.finished:
                return False
            again = self._cancelled.is_set()
            self._cancelled.set()
            waiting = self.state is JobState.QUEUED
            if waiting:
                self._update(state=JobState.CANCELLED, stage="Cancelled", eta_seconds=None)
            elif not again:
                self._update(stage="Stopping", eta_seconds=None)
                self._timer = threading.Timer(self._patience, self._give_up)
                self._timer.daemon = True
                self._timer.start()
        if waiting:
            self._finished.set()
        if not again:
            self._changed(self)
        return True

    def _give_up(self) -> None:
        with self._lock:
            if self.state.finished or self._landing:
                return
            self.given_up = True
            error = JobCancelled(
                f"It did not stop within {self._patience:.0f} seconds and was left behind; the scene is as it was. "
                "It may keep the processor busy until it ends: if all stays slow, export and start the program anew."
            )
            self._update(state=JobState.CANCELLED, stage="Given up", eta_seconds=None, error=error)
        self._leave(self)
        self._finished.set()
        self._changed(self)

    def land(self) -> bool:
        """Whether what the work made may be used now; from then on the job is not given up any more."""
        with self._lock:
            self._landing = not self.given_up
            return self._landing

    def wait(self, timeout: float | None = None) -> bool:
        """True once the job is done, failed or cancelled."""
        return self._finished.wait(timeout)

    def result(self, timeout: float | None = None) -> T:
        """What the work returned. Raises its error, or JobCancelled."""
        if not self.wait(timeout):
            raise TimeoutError(f"{self.status.name} is still running.")
        if self.error is not None:
            raise self.error
        if self.state is JobState.CANCELLED:
            raise JobCancelled(f"{self.status.name} was cancelled.")
        return self._result  # pyright: ignore[reportReturnType]

    def run(self) -> None:
        """Do the work on the calling thread (the worker's). Never raises."""
        with self._lock:
            if self.state is not JobState.QUEUED:
                return
            self._pace = _Pace(time.monotonic())
            self._update(state=JobState.RUNNING, stage="Starting")
        self._changed(self)
        _running.job = self
        result, outcome = self._attempt()
        _running.job = None
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            if self.given_up:
                return
            self._result = result
            self._update(eta_seconds=None, **outcome)
        self._finished.set()
        self._changed(self)

    def _attempt(self) -> tuple[T | None, dict]:
        try:
            result = self._work(self._report)
        except JobCancelled:
            return None, {"state": JobState.CANCELLED, "stage": "Cancelled"}
        except Exception as error:
            return None, {"state": JobState.FAILED, "stage": "Failed", "error": error}
        return result, {"state": JobState.DONE, "stage": "Done", "fraction": 1.0}

    def _report(self, stage: str, fraction: float) -> None:
        if self._cancelled.is_set():
            raise JobCancelled(f"{self.status.name} was cancelled.")
        now = time.monotonic()
        fraction = max(self.status.fraction, min(float(fraction), 1.0))
        same_stage = stage == self.status.stage
        with self._lock:
            self._update(stage=stage, fraction=fraction, eta_seconds=self._pace.left(now, fraction))
        if not same_stage or now - self._told >= NOTIFY_SECONDS:
            self._told = now
            self._changed(self)

    def _update(self, **changes) -> None:
        self.status = replace(self.status, **changes)


def was_given_up() -> bool:
    """Whether the job that this thread works on was given up."""
    job = getattr(_running, "job", None)
    return job is not None and job.given_up


def before_landing() -> None:
    """Called by work before it changes what others see; raises JobCancelled where its job was given up."""
    job = getattr(_running, "job", None)
    if job is not None and not job.land():
        raise JobCancelled(f"{job.status.name} comes too late: it was given up.")


class _Pace:
    """Seconds left if the rest goes as fast as the last part: stages differ, and the first are often the quickest."""

    def __init__(self, started: float):
        self._started = started
        self._marks = collections.deque([(started, 0.0)])
        """(moment, fraction), the first of them as long ago as is looked back."""

    def left(self, now: float, fraction: float) -> float | None:
        """None in the first moments, which say little."""
        self._marks.append((now, fraction))
        back = now - max(LOOK_BACK, (now - self._started) / 4)  # in seconds hours of work do not move at all
        while len(self._marks) > 2 and self._marks[1][0] <= back:
            self._marks.popleft()
        moment, then = self._marks[0]
        if now - moment < 0.3 or fraction - then < 0.01:
            return None
        return (now - moment) * (1 - fraction) / (fraction - then)
