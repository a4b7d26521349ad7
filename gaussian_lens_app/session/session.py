"""One user's work on one scene."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxtyping import Bool, Int
from torch import Tensor

from gaussian_lens_app import formats
from gaussian_lens_app.errors import GsrError, JobCancelled, MethodError
from gaussian_lens_app.jobs import Job, LatestOnly, Report, Worker, before_landing, was_given_up, within
from gaussian_lens_app.methods.base import Budget
from gaussian_lens_app.raster import ANTIALIASED, Rasterizer, RenderMode
from gaussian_lens_app.scene import Box, Capture, Gaussians, Patch, Region
from gaussian_lens_app.select import select_region
from gaussian_lens_app.session.arrangement import UpgradedRegion, walk
from gaussian_lens_app.session.close_views import CLOSE_VIEWS, CLOSE_VIEWS_JOB, CLOSE_VIEWS_NAME, close_views_patch
from gaussian_lens_app.session.estimate import Estimate, Experience
from gaussian_lens_app.session.events import (
    Combine,
    Event,
    JobChanged,
    Judged,
    Outcome,
    Pick,
    Previewed,
    RegionsChanged,
    SceneChanged,
    Selection,
    SelectionChanged,
)
from gaussian_lens_app.session.exporting import ExportSettings, kinds_in_file, write_scene
from gaussian_lens_app.session.history import Edit, Edited, previewed
from gaussian_lens_app.session.memory import memory_errors_as_sentences
from gaussian_lens_app.session.mending import MEND, MEND_JOB, MENDED, mending_patch
from gaussian_lens_app.session.proposal import Proposal
from gaussian_lens_app.session.selecting import Selector
from gaussian_lens_app.session.workspace import Workspace
from gaussian_lens_app.upgrade import UpgradeRequest, UpgradeResult, until_cancelled, upgrade

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
        self.work = Workspace(Edited.original(scene, kinds_in_file(file)))
        self.original = self.work.edited
        """The scene as it was opened."""
        self.left_out: tuple[str, ...] = ()
        """What of a project could not be made again, in sentences."""
        self.experience = Experience()
        self.preview: Edited | None = None
        """What an upgrade at work has finished so far, in the scene; shown, but no part of it yet."""
        self._baseline: tuple[Edit, Edited] | None = None
        self._upgrade = upgrade
        self._lock = threading.RLock()
        self._listeners: tuple[Callable[[Event], None], ...] = ()
        self._worker = Worker("upgrades")
        self._files = Worker("files")
        self._picker = Selector(select, capture, rasterizer)
        self._selector = LatestOnly("selection", lambda error: log.error("selection failed", exc_info=error))

    # ---- reading

    @property
    def scene(self) -> Gaussians:
        return self.work.edited.scene

    @property
    def edited(self) -> Edited:
        """The scene with what is known of each row."""
        return self.work.edited

    @property
    def baseline(self) -> Edited:
        """The scene before any upgrade: as it was opened, readied for close views where it was."""
        edits = self.history
        if not edits or edits[0].name != CLOSE_VIEWS_NAME:
            return self.original
        if self._baseline is None or self._baseline[0] is not edits[0]:
            alone = len(edits) == 1
            self._baseline = (edits[0], self.edited if alone else edits[0].redo(self.original))
        return self._baseline[1]

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

    # ---- selecting

    def select(self, box: Box, through: bool = False, how: Combine = Combine.NEW, depth: float | None = None) -> None:
        """Find out in the background what is in the box; the answer comes as SelectionChanged.

        `how` combines it with what is selected; `depth` leaves out what lies deeper than so many times the median depth
        of what the box shows.
        """
        with self._lock:
            earlier = () if self.selection is None or how is Combine.NEW else self.selection.picks
            if not earlier:
                how = Combine.NEW
            self._pick((*earlier, Pick(box, how, through, depth)))

    def invert_selection(self) -> None:
        """Select all that is not selected."""
        with self._lock:
            if self.selection is not None and self.selection.picks:
                box = self.selection.box
                self._pick((*self.selection.picks, Pick(box, Combine.INVERT)))

    def clear_selection(self) -> None:
        self._set_selection(None)

    def _pick(self, picks: tuple[Pick, ...]) -> None:
        self._set_selection(Selection(picks[-1].box, pending=True, picks=picks))
        self._selector.submit(lambda: self._find(picks))

    def _find(self, picks: tuple[Pick, ...]) -> None:
        base, box = self.edited, picks[-1].box
        try:
            with memory_errors_as_sentences("looking into the box"):
                found = Selection(box, self._picker.find(picks, base, self.mode), picks=picks)
        except GsrError as error:
            found = Selection(box, error=error, picks=picks)
        with self._lock:
            current = self.selection
            if current is None or current.picks is not picks:
                return
            if base is not self.edited:
                found = Selection(box, picks=picks)
            self._set_selection(found)

    # ---- upgrading

    def estimate(self, method: str, budget: Budget = Budget()) -> Estimate | None:  # noqa: B008  frozen
        """What upgrading the selection would cost; None while nothing is selected."""
        region = None if self.selection is None else self.selection.region
        return None if region is None else self.experience.estimate(method, region, budget)

    def upgrade(
        self,
        box: Box | None,
        method: str = "refine",
        budget: Budget = Budget(),  # noqa: B008  frozen
        *,
        through: bool = False,
        judge: bool = True,
        seed: int = 0,
        again: int | None = None,
    ) -> Job[Outcome]:
        """Queue an upgrade of what is in the box, or of the selection this box belongs to; returns at once.

        No box: of the whole scene. `again`: number of the region it is another upgrade of, to choose from.
        """
        name = f"{method} {next(self.experience.numbers)}"
        picks = () if box is None else self._picks_of(box, through, again)

        def work(report: Report) -> Outcome:
            with self._lock:
                base = self.work.base_for(again)
            request = UpgradeRequest(
                scene=base.scene,
                box=box,
                capture=self.capture,
                method=method,
                budget=budget,
                mode=self.mode,
                rasterizer=self.rasterizer,
                through=bool(picks) and picks[-1].through,
                judge=judge,
                seed=seed,
                region=self._region_of(picks, base),
                preview=lambda patch: self._show(patch, base),
            )
            try:
                with memory_errors_as_sentences("the upgrade"):
                    result = self._upgrade(request, within(report, 0.0, 0.98))
                report("Swapping in", 0.99)
                self.experience.learn(method, result, budget)
            except JobCancelled as stop:
                if not isinstance(stop.kept, Patch):
                    raise
                result = until_cancelled(request, stop.kept)
            finally:
                self._show(None, base)
            return self._land(Proposal.of(name, method, box, result, base, again))

        return self._worker.submit(name, work, self._job_changed)

    def _region_of(self, picks: tuple[Pick, ...], base: Edited) -> Region | None:
        """Where it is known, or not found from the box alone."""
        if not picks:
            return None
        plain = len(picks) == 1 and picks[-1].depth is None
        return self._picker.known(picks, base) if plain else self._picker.find(picks, base, self.mode)

    def _show(self, patch: Patch | None, base: Edited) -> None:
        """Let the picture show a patch that is not finished; None: no more."""
        if was_given_up():
            return
        shown = self.preview
        self.preview = None if patch is None or self.edited is not base else previewed(base, patch)
        if shown is not self.preview:
            self._tell(Previewed())

    def _picks_of(self, box: Box, through: bool, again: int | None) -> tuple[Pick, ...]:
        """The chain this box ends, if it is the selection's, else the box alone."""
        shown = self.selection
        if shown is None or not shown.picks or shown.box is not box or again is not None:
            return (Pick(box, through=through),)
        return shown.picks if through in (False, shown.picks[-1].through) else (Pick(box, through=through),)

    def upgrade_again(self, number: int, method: str, budget: Budget = Budget()) -> Job[Outcome]:  # noqa: B008  frozen
        """Queue another upgrade of a region, to flip between the two."""
        box = self.work.arrangement.region(number).box
        budget = Budget.for_scene(self.scene) if box is None else budget
        return self.upgrade(box, method, budget, again=number)

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
            before_landing()
            if proposal.verdict.accepted:
                outcome = self._apply(proposal, "upgrade")
            else:
                self.refused = proposal
                outcome = self.last = proposal.outcome(None)
        self._tell(Judged(outcome))
        return outcome

    def _apply(self, proposal: Proposal, reason: str) -> Outcome:
        self.last = self.work.apply(proposal, reason)
        self.refused = None
        assert self.last.edit is not None
        self._swapped(reason, self.last.edit)
        return self.last

    # ---- steps back, forth and aside

    def undo(self) -> Edit | None:
        """Take the last step back; None when there is none."""
        with self._lock:
            step = self.work.undo()
            if step is not None:
                self._swapped("undo", step.edit)
            return None if step is None else step.edit

    def redo(self) -> Edit | None:
        """Make the step taken back last again; None when there is none."""
        with self._lock:
            step = self.work.redo()
            if step is not None:
                self._swapped("redo", step.edit)
            return None if step is None else step.edit

    def hide_region(self, number: int, with_dependents: bool = False) -> Edit:
        """Show a region as it was before its upgrade. MethodError names what stands on it."""
        with self._lock:
            return self._stepped("hide", self.work.hide(number, with_dependents))

    def show_region(self, number: int) -> Edit:
        """Show a hidden region's upgrade again."""
        with self._lock:
            return self._stepped("show", self.work.show(number))

    def remove_region(self, number: int, with_dependents: bool = False) -> Edit:
        """Take a region's upgrade back, whatever came after it. MethodError names what stands on it."""
        with self._lock:
            return self._stepped("remove", self.work.remove(number, with_dependents))

    def flip_region(self, number: int, chosen: int) -> Edit:
        """Put another alternative of a region in force."""
        with self._lock:
            steps = len(self.work.steps.done)
            edit = self.work.flip(number, chosen)
            return self._stepped("flip", edit) if len(self.work.steps.done) > steps else edit

    def delete_splats(self, rows: Bool[Tensor, "N"], name: str) -> Edit:
        """Take rows out of the scene."""
        with self._lock:
            return self._stepped("delete", self.work.delete(rows, name))

    def ready_close_views(self) -> Job[Edit | None]:
        """Band-limit the scene where the photos are larger than those it was made from (None: they are not).

        Splats made from small photos show needles from nearby, and drawn through a filter that hides those nothing new
        could be sharp; see `optimize/band_limit.py`. One edit like any other, on the worker for upgrades.
        """
        return self._by_hand(CLOSE_VIEWS_JOB, close_views_patch, CLOSE_VIEWS_NAME, CLOSE_VIEWS, self.rasterizer)

    def mend(self) -> Job[Edit | None]:
        """Mend what the linter finds in the scene (None: nothing), as one edit, on the worker for upgrades."""
        return self._by_hand(MEND_JOB, mending_patch, MENDED, MEND, self.file)

    def _by_hand(
        self, job: str, make: Callable[..., Patch | None], name: str, reason: str, *more: Any
    ) -> Job[Edit | None]:
        """Queue an edit that belongs to no region; none where the scene has changed meanwhile."""

        def work(report: Report) -> Edit | None:
            base = self.edited
            patch = make(base, self.capture, *more, report)
            with self._lock:
                if patch is None or self.edited is not base:
                    return None
                before_landing()
                return self._stepped(reason, self.work.by_hand(patch, name, reason))

        return self._worker.submit(job, work, self._job_changed)

    def rename_region(self, number: int, name: str) -> None:
        """Call a region something else; an empty name gives it its number back."""
        with self._lock:  # another mapping each time: somebody may be reading this one
            others = {one: known for one, known in self.work.names.items() if one != number}
            self.work.names = {**others, number: name.strip()[:60]} if name.strip() else others
        self._tell(RegionsChanged())

    def before_region(self, number: int) -> Gaussians:
        """The scene without this region's upgrade and what stands on it."""
        with self._lock:
            now = self.work.arrangement
            key = now.region(number).key
            keys = [key, *(edit.key for edit in now.dependents(key))]
            return walk(self.edited, now.edits, now.without(keys).edits)[0].scene

    # ---- files

    def export(self, path: Path | str, settings: ExportSettings = ExportSettings()) -> Path:  # noqa: B008  frozen
        """The scene as edited, written in one step; the file's own frame, properties and untouched bits are kept."""
        with self._lock:
            edited, arrangement = self.edited, self.work.arrangement
            selected = None if self.selection is None or self.selection.region is None else self.selection.region
        titles = tuple((self.work.title(edit), edit) for edit in arrangement.edits)
        return write_scene(Path(path).expanduser(), edited, titles, self.file, settings, selected, self.capture)

    def export_in_background(
        self,
        path: Path | str,
        settings: ExportSettings = ExportSettings(),  # noqa: B008  frozen
    ) -> Job[Path]:
        """The same on a worker of its own."""
        return self.in_background(f"Export to {path}", lambda report: self.export(path, settings))

    def in_background(self, name: str, work: Callable[[Report], Any]) -> Job[Any]:
        """Do something slow with files on the worker for files."""
        return self._files.submit(name, work, self._job_changed)

    def close(self) -> None:
        """Stop all work; the session tells nothing any more."""
        self._listeners = ()
        for one in (self._worker, self._files, self._selector):
            one.close()

    # ---- inside

    def _stepped(self, reason: str, edit: Edit) -> Edit:
        self._swapped(reason, edit)
        return edit

    def _swapped(self, reason: str, edit: Edit) -> None:
        self.preview = None
        self._tell(SceneChanged(self.scene, reason, edit))
        if self.selection is not None:
            self._set_selection(Selection(self.selection.box, picks=self.selection.picks))

    def _set_selection(self, selection: Selection | None) -> None:
        with self._lock:
            self.selection = selection
            self._tell(SelectionChanged(selection))

    def _job_changed(self, job: Job[Any]) -> None:
        if job.given_up and self.preview is not None:
            self.preview = None
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
