"""One user's work on one scene."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxtyping import Int
from torch import Tensor

from gaussian_lens_app import formats
from gaussian_lens_app.errors import GsrError, MethodError
from gaussian_lens_app.jobs import Job, LatestOnly, Report, Worker, within
from gaussian_lens_app.methods.base import Budget
from gaussian_lens_app.raster import ANTIALIASED, Rasterizer, RenderMode
from gaussian_lens_app.scene import Box, Capture, Gaussians, Region
from gaussian_lens_app.select import select_region
from gaussian_lens_app.session.events import (
    Event,
    JobChanged,
    Judged,
    Outcome,
    SceneChanged,
    Selection,
    SelectionChanged,
)
from gaussian_lens_app.session.history import Edit, Edited
from gaussian_lens_app.session.memory import memory_errors_as_sentences
from gaussian_lens_app.session.proposal import Proposal
from gaussian_lens_app.upgrade import UpgradeRequest, UpgradeResult, upgrade

log = logging.getLogger(__name__)


class Session:
    """The scene as edited so far. Reading `scene` needs no lock; every edit is one assignment.

    Upgrades run one at a time on a worker, each on the scene as it is when its turn comes. `upgrade` and `select` are
    the seams: a test, or another program, may hand in its own.
    """

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
        self._edited = Edited.original(scene)
        self._next_id = len(scene)
        self._found: tuple[Box, bool, Edited, Region] | None = None
        self._done: tuple[Edit, ...] = ()
        self._undone: tuple[Edit, ...] = ()
        self._upgrade, self._select = upgrade, select
        self._lock = threading.RLock()
        self._listeners: tuple[Callable[[Event], None], ...] = ()
        self._numbers = itertools.count(1)
        self._worker = Worker("upgrades")
        self._files = Worker("files")
        self._selector = LatestOnly("selection", lambda error: log.error("selection failed", exc_info=error))

    # ---- reading

    @property
    def scene(self) -> Gaussians:
        return self._edited.scene

    @property
    def sources(self) -> Int[Tensor, "N"]:
        """Row of the file each Gaussian came from, -1 for those an upgrade made up."""
        return self._edited.sources

    @property
    def notes(self) -> tuple[str, ...]:
        """What the readers of the scene and its photos want the user to know."""
        found = () if self.file is None else tuple(str(finding) for finding in self.file.findings)
        return found + (() if self.capture is None else self.capture.notes)

    @property
    def history(self) -> tuple[Edit, ...]:
        """Edits in force, oldest first."""
        return self._done

    @property
    def can_undo(self) -> bool:
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        return bool(self._undone)

    @property
    def busy(self) -> bool:
        """Whether an upgrade runs or waits."""
        return self._worker.busy

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call `listener` with every event, on whichever thread caused it; returns the call that ends it."""
        with self._lock:
            self._listeners += (listener,)
        return lambda: self._unsubscribe(listener)

    # ---- selecting

    def select(self, box: Box, through: bool = False) -> None:
        """Find out in the background what is in the box; the answer comes as SelectionChanged."""
        self._set_selection(Selection(box, pending=True))
        self._selector.submit(lambda: self._find(box, through))

    def clear_selection(self) -> None:
        self._set_selection(None)

    def _find(self, box: Box, through: bool) -> None:
        base = self._edited
        try:
            with memory_errors_as_sentences("looking into the box"):
                region = self._select(base.scene, box, self.capture, self.rasterizer, mode=self.mode, through=through)
            found = Selection(box, region)
            self._found = (box, through, base, region)
        except GsrError as error:
            found = Selection(box, error=error)
        with self._lock:
            current = self.selection
            if current is None or current.box is not box:
                return
            if base is not self._edited:
                found = Selection(box)
            self._set_selection(found)

    def _region_of(self, box: Box, base: Edited, through: bool) -> Region | None:
        """The region shown to the user, where it was found in this very scene."""
        if self._found is None:
            return None
        found_box, found_through, found_base, region = self._found
        return region if (found_box is box and found_base is base and found_through == through) else None

    # ---- upgrading

    def upgrade(
        self,
        box: Box,
        method: str = "refine",
        budget: Budget = Budget(),  # noqa: B008  frozen
        *,
        through: bool = False,
        judge: bool = True,
        seed: int = 0,
    ) -> Job[Outcome]:
        """Queue an upgrade of what is in the box; returns at once."""
        name = f"{method} {next(self._numbers)}"

        def work(report: Report) -> Outcome:
            base = self._edited
            request = UpgradeRequest(
                scene=base.scene,
                box=box,
                capture=self.capture,
                method=method,
                budget=budget,
                mode=self.mode,
                rasterizer=self.rasterizer,
                through=through,
                judge=judge,
                seed=seed,
                region=self._region_of(box, base, through),
            )
            with memory_errors_as_sentences("the upgrade"):
                result = self._upgrade(request, within(report, 0.0, 0.98))
            report("Swapping in", 0.99)
            return self._land(Proposal.of(name, result, base))

        return self._worker.submit(name, work, self._job_changed)

    def force(self) -> Outcome:
        """Apply the upgrade that was refused last."""
        with self._lock:
            if self.refused is None:
                raise MethodError("There is no refused upgrade to apply.")
            outcome = self._apply(self.refused, "force")
        self._tell(Judged(outcome))
        return outcome

    def _land(self, proposal: Proposal) -> Outcome:
        """Swap the upgrade in, or keep it aside when the judge refused it."""
        with self._lock:
            if proposal.verdict.accepted:
                outcome = self._apply(proposal, "upgrade")
            else:
                self.refused = proposal
                outcome = self.last = proposal.outcome(None)
        self._tell(Judged(outcome))
        return outcome

    def _apply(self, proposal: Proposal, reason: str) -> Outcome:
        edit = proposal.edit(self._edited, self._next_id)
        self._next_id += len(edit.patch.added)
        self._done, self._undone, self.refused = (*self._done, edit), (), None
        self.last = proposal.outcome(edit)
        self._swap(edit.redo(self._edited), reason, edit)
        return self.last

    # ---- undo, redo

    def undo(self) -> Edit | None:
        """Take the last edit back; None when there is none."""
        with self._lock:
            if not self._done:
                return None
            edit = self._done[-1]
            self._done, self._undone = self._done[:-1], (*self._undone, edit)
            self._swap(edit.undo(self._edited), "undo", edit)
            return edit

    def redo(self) -> Edit | None:
        """Make the edit taken back last again; None when there is none."""
        with self._lock:
            if not self._undone:
                return None
            edit = self._undone[-1]
            self._done, self._undone = (*self._done, edit), self._undone[:-1]
            self._swap(edit.redo(self._edited), "redo", edit)
            return edit

    # ---- files

    def export(self, path: Path | str) -> Path:
        """The scene as edited, written in one step; the file's own frame, properties and untouched bits are kept."""
        with self._lock:
            edited, done = self._edited, self._done
        path = Path(path).expanduser()
        comments = tuple(f"{edit.name}: {edit.verdict.sentence}" for edit in done)
        formats.save(path, edited.scene.to("cpu"), like=self.file, sources=edited.sources, comments=comments)
        return path

    def export_in_background(self, path: Path | str) -> Job[Path]:
        """The same on a worker of its own."""
        return self._files.submit(f"Export to {path}", lambda report: self.export(path), self._job_changed)

    def close(self) -> None:
        """Stop all work; the session tells nothing any more."""
        self._listeners = ()
        for one in (self._worker, self._files, self._selector):
            one.close()

    # ---- inside

    def _swap(self, edited: Edited, reason: str, edit: Edit) -> None:
        self._edited, self._found = edited, None
        self._tell(SceneChanged(edited.scene, reason, edit))
        if self.selection is not None:
            self._set_selection(Selection(self.selection.box))

    def _set_selection(self, selection: Selection | None) -> None:
        with self._lock:
            self.selection = selection
            self._tell(SelectionChanged(selection))

    def _job_changed(self, job: Job[Any]) -> None:
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
