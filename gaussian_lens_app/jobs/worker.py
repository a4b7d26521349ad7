"""Threads that do background work: one that runs jobs in order, one that only does the latest thing asked."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

from gaussian_lens_app.jobs.job import PATIENCE, Job
from gaussian_lens_app.jobs.report import Report

T = TypeVar("T")


class Worker:
    """One thread, one job at a time, in the order asked.

    A job that was cancelled and does not answer for `patience` seconds is left to its thread, and another thread goes
    on with the next.
    """

    def __init__(self, name: str = "worker", patience: float = PATIENCE):
        self.patience = patience
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._jobs: list[Job] = []
        self._lock = threading.Lock()
        self._closed = False
        self._name = name
        self._start()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
        self._thread.start()

    def submit(self, name: str, work: Callable[[Report], T], changed: Callable[[Job], None] = lambda _: None) -> Job[T]:
        """The job, queued. `changed(job)` is called with every news of it, on the worker's thread or who cancels it."""
        job = Job(name, work, changed, self._leave, self.patience)
        with self._lock:
            if self._closed:
                raise RuntimeError("This worker is closed.")
            self._jobs = [one for one in self._jobs if not one.state.finished] + [job]
            self._queue.put(job)
        return job

    @property
    def busy(self) -> bool:
        """Whether a job runs or waits."""
        return any(not job.state.finished for job in self._jobs)

    def close(self, timeout: float = 2.0) -> None:
        """Cancel everything and end the thread; a job that does not report is left behind after `timeout` seconds."""
        with self._lock:
            self._closed = True
            jobs = list(self._jobs)
            self._queue.put(None)
        for job in jobs:
            job.cancel()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    def _leave(self, job: Job) -> None:
        """The thread of a job that was given up is its own affair; the jobs that wait get another."""
        with self._lock:
            if not self._closed:
                self._start()

    def _loop(self) -> None:
        while (job := self._queue.get()) is not None:
            job.run()
            if job.given_up:  # another thread takes over, or is about to
                return


class LatestOnly:
    """One thread that does what was asked last; what was asked before and not begun is forgotten."""

    def __init__(self, name: str, failed: Callable[[Exception], None]):
        self._failed = failed
        self._pending: Callable[[], None] | None = None
        self._condition = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[], None]) -> None:
        """Do `work` next; an exception goes to `failed`."""
        with self._condition:
            self._pending = work
            self._condition.notify()

    def close(self, timeout: float = 2.0) -> None:
        """End the thread after the work it is doing."""
        with self._condition:
            self._closed = True
            self._pending = None
            self._condition.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    def _loop(self) -> None:
        while (work := self._next()) is not None:
            try:
                work()
            except Exception as error:
                self._failed(error)

    def _next(self) -> Callable[[], None] | None:
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._pending is not None)
            work, self._pending = self._pending, None
            return work
