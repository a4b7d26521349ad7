"""What a session holds, and who is told when it changes."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from typing import Any

from jaxtyping import Int
from torch import Tensor

from gaussian_lens_app import formats
from gaussian_lens_app.jobs import Job, LatestOnly, Report, Worker
from gaussian_lens_app.raster import ANTIALIASED, Rasterizer, RenderMode
from gaussian_lens_app.scene import Capture, Gaussians, Region
from gaussian_lens_app.select import select_region
from gaussian_lens_app.session.arrangement import Step, UpgradedRegion, walk
from gaussian_lens_app.session.close_views import CLOSE_VIEWS_NAME
from gaussian_lens_app.session.estimate import Experience
from gaussian_lens_app.session.events import (
    Event,
    JobChanged,
    Outcome,
    Previewed,
    SceneChanged,
    Selection,
    SelectionChanged,
)
from gaussian_lens_app.session.exporting import kinds_in_file
from gaussian_lens_app.session.history import Edit, Edited
from gaussian_lens_app.session.mending import MENDED
from gaussian_lens_app.session.proposal import Proposal
from gaussian_lens_app.session.selecting import Selector
from gaussian_lens_app.session.workspace import Workspace
from gaussian_lens_app.upgrade import UpgradeRequest, UpgradeResult, upgrade

log = logging.getLogger(__name__)


class State:
    """The scene as edited so far, the work at hand, the listeners. Reading needs no lock; every edit is one
    assignment."""

    def __init__(
        self,
        scene: Gaussians,
        *,
        rasterizer: Rasterizer,
        capture: Capture | None = None,
        file: formats.SceneFile | None = None,
        name: str = "scene",
        mode: RenderMode = ANTIALIASED,
        upgrade: Callable[[UpgradeRequest, Report], UpgradeResult] = upgrade,
        select: Callable[..., Region] = select_region,
    ):
        self.name, self.capture, self.file = name, capture, file
        self.rasterizer, self.mode = rasterizer, mode
        self.selection: Selection | None = None
        self.refused: Proposal | None = None
        self.last: Outcome | None = None
        self.work = Workspace(Edited.original(scene, kinds_in_file(file)))
        self.original = self.work.edited
        """The scene as it was opened."""
        self.left_out: tuple[str, ...] = ()
        """What of a project could not be made again, in sentences."""
        self.experience = Experience()
        self.preview: Edited | None = None
        """What an upgrade at work has finished so far, in the scene; shown, but no part of it yet."""
        self._baseline: tuple[tuple[Edit, ...], Edited] | None = None
        self._upgrade = upgrade
        self._lock = threading.RLock()
        self._listeners: tuple[Callable[[Event], None], ...] = ()
        self._at_close: tuple[Callable[[], None], ...] = ()
        self._worker = Worker("upgrades")
        self._files = Worker("files")
        self._films = Worker("films")
        self._picker = Selector(select, capture, rasterizer)
        self._selector = LatestOnly("selection", lambda error: log.error("selection failed", exc_info=error))

    @property
    def scene(self) -> Gaussians:
        return self.work.edited.scene

    @property
    def edited(self) -> Edited:
        """The scene with what is known of each row."""
        return self.work.edited

    @property
    def baseline(self) -> Edited:
        """The scene before any upgrade: as it was opened, mended and readied for close views where it was."""
        edits = self.history
        first = tuple(itertools.takewhile(lambda edit: edit.name in (MENDED, CLOSE_VIEWS_NAME), edits))
        if not first:
            return self.original
        known = self._baseline
        if known is None or [id(edit) for edit in known[0]] != [id(edit) for edit in first]:
            made = self.edited if len(first) == len(edits) else walk(self.original, (), first, self.work.title)[0]
            known = self._baseline = (first, made)
        return known[1]

    @property
    def sources(self) -> Int[Tensor, "N"]:
        """Row of the file each Gaussian came from, -1 for those an upgrade made up."""
        return self.edited.sources

    @property
    def notes(self) -> tuple[str, ...]:
        """What the readers of the scene, its photos and its project want the user to know."""
        found = () if self.file is None else tuple(str(finding) for finding in self.file.findings)
        return found + (() if self.capture is None else self.capture.notes) + self.left_out

    @property
    def history(self) -> tuple[Edit, ...]:
        """Edits in force, oldest first."""
        return self.work.arrangement.edits

    @property
    def regions(self) -> tuple[UpgradedRegion, ...]:
        """What was upgraded, hidden or not, oldest first."""
        return self.work.arrangement.regions

    @property
    def can_undo(self) -> bool:
        return bool(self.work.steps.done)

    @property
    def can_redo(self) -> bool:
        return bool(self.work.steps.undone)

    @property
    def busy(self) -> bool:
        """Whether an upgrade runs or waits."""
        return self._worker.busy

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call `listener` with every event, on whichever thread caused it; returns the call that ends it."""
        with self._lock:
            self._listeners += (listener,)
        return lambda: self._unsubscribe(listener)

    def at_close(self, call: Callable[[], None]) -> None:
        """Call it when the session has been closed."""
        with self._lock:
            self._at_close += (call,)

    # ---- for those who change something

    def _stepped(self, reason: str, edit: Edit) -> Edit:
        last = self.work.steps.done[-1:]
        self._swapped(reason, edit, last[0] if last and last[0].edit is edit else None)
        return edit

    def _swapped(self, reason: str, edit: Edit, step: Step | None = None) -> None:
        self.preview = None
        self._tell(SceneChanged(self.scene, reason, edit, step))
        if self.selection is not None:
            self._set_selection(Selection(self.selection.box, picks=self.selection.picks))

    def _set_selection(self, selection: Selection | None) -> None:
        with self._lock:
            self.selection = selection
            self._tell(SelectionChanged(selection))

    def _job_changed(self, job: Job[Any]) -> None:
        if job.given_up:
            with self._lock:  # not while its thread puts a preview there
                shown, self.preview = self.preview, None
            if shown is not None:
                self._tell(Previewed())
        self._tell(JobChanged(job, job.status))

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                log.exception("A listener failed on %s", type(event).__name__)

    def _unsubscribe(self, listener: Callable[[Event], None]) -> None:
        with self._lock:
            self._listeners = tuple(one for one in self._listeners if one is not listener)
