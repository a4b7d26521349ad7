"""Marks on what is too coarse: how much each Gaussian lacks, worked out beside the drawing."""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.errors import JobCancelled
from gaussian_lens_app.jobs import Job, Report
from gaussian_lens_app.scene import Gaussians
from gaussian_lens_app.session.looks import Marks
from gaussian_lens_app.session.memory import memory_errors_as_sentences
from gaussian_lens_app.session.missing import AMOUNTS
from gaussian_lens_app.session.session import Session

MARKS_JOB = "Working out the marks"
"""What the job is called."""


@dataclass(eq=False)
class _Sought:
    """The amounts of one scene by one kind of mark."""

    scene: weakref.ref[Gaussians]
    """No old scene lives on here."""
    marks: Marks
    amount: Float[Tensor, "N"] | None = None
    """None until it is known."""
    error: Exception | None = None
    job: Job[None] | None = None


class Marking:
    """Knows the amounts of the scene before and the scene after, as soon as they are worked out.

    Drawing must not wait for what takes seconds: every browser would.
    """

    def __init__(self, session: Session, wanted: Callable[[], Marks | None], ready: Callable[[], None]):
        """`wanted`: the marks that are to be shown now; `ready` is called when there is something new to show."""
        self._session, self._wanted, self._ready = session, wanted, ready
        self._sought: dict[bool, _Sought] = {}
        """Of the scene before, and of the scene after."""
        self._lock = threading.Lock()

    @property
    def progress(self) -> float | None:
        """How far the work is, 0..1; None while nothing is worked out."""
        jobs = [one.job for one in tuple(self._sought.values()) if one.job is not None]
        return min((job.status.fraction for job in jobs if not job.state.finished), default=None)

    @property
    def error(self) -> Exception | None:
        """Why there are no marks."""
        return next((one.error for one in tuple(self._sought.values()) if one.error is not None), None)

    def amount(self, scene: Gaussians, marks: Marks, before: bool) -> Float[Tensor, "N"] | None:
        """How much each Gaussian lacks, 0..1; None while that is worked out, or where nobody wants it any more."""
        with self._lock:
            if self._wanted() is not marks:
                return None  # a picture that was begun before
            old = self._sought.get(before)
            known = (one for one in self._sought.values() if one.scene() is scene and one.marks is marks)
            sought = self._sought[before] = next(known, None) or self._begun(scene, marks)
            stale = old if old not in self._sought.values() else None
        if stale is not None and stale.job is not None:
            stale.job.cancel()
        return sought.amount

    def stop(self) -> None:
        """Give up what is not worked out yet."""
        with self._lock:
            stopped = [one for one in self._sought.values() if one.amount is None]
            self._sought = {side: one for side, one in self._sought.items() if one.amount is not None}
        for one in stopped:
            if one.job is not None:
                one.job.cancel()

    def _begun(self, scene: Gaussians, marks: Marks) -> _Sought:
        sought = _Sought(weakref.ref(scene), marks)
        sought.job = self._session.in_background(MARKS_JOB, functools.partial(self._work_out, sought))
        return sought

    def _work_out(self, sought: _Sought, report: Report) -> None:
        session, scene = self._session, sought.scene()
        if scene is None or session.capture is None:
            return
        try:
            with torch.inference_mode(), memory_errors_as_sentences("working out the marks", "hide the marks"):
                work = AMOUNTS[sought.marks]
                sought.amount = work(scene, session.capture, session.rasterizer, session.mode, report)
        except JobCancelled:
            raise
        except Exception as error:
            sought.error = error
            raise
        self._ready()
