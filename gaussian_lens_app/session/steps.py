"""Steps back, forth and aside: undo, redo, regions hidden or flipped, edits that belong to no region."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Bool
from torch import Tensor

from gaussian_lens_app.jobs import Job, Report, before_landing, within
from gaussian_lens_app.scene import Patch
from gaussian_lens_app.session.close_views import CLOSE_VIEWS, CLOSE_VIEWS_JOB, CLOSE_VIEWS_NAME, close_views_patch
from gaussian_lens_app.session.events import RegionsChanged
from gaussian_lens_app.session.history import Edit, Edited, previewed
from gaussian_lens_app.session.mending import MEND, MEND_JOB, MENDED, mending_patch
from gaussian_lens_app.session.state import State


class Steps(State):
    """From one arrangement of edits to another."""

    def undo(self) -> Edit | None:
        """Take the last step back; None when there is none."""
        with self._lock:
            step = self.work.undo()
            if step is not None:
                self._swapped("undo", step.edit, step)
            return None if step is None else step.edit

    def redo(self) -> Edit | None:
        """Make the step taken back last again; None when there is none."""
        with self._lock:
            step = self.work.redo()
            if step is not None:
                self._swapped("redo", step.edit, step)
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

    def delete_splats(self, which: Callable[[Edited], Bool[Tensor, "N"]], name: str) -> Edit:
        """Take rows out of the scene; `which` chooses them in the scene as it is when they go."""
        with self._lock:
            return self._stepped("delete", self.work.delete(which(self.edited), name))

    def ready_close_views(self) -> Job[Edit | None]:
        """Band-limit the scene where the photos are larger than those it was made from (None: they are not).

        Splats made from small photos show needles from nearby, and drawn through a filter that hides those nothing new
        could be sharp; see `optimize/band_limit.py`. One edit like any other, on the worker for upgrades.
        """
        return self._worker.submit(CLOSE_VIEWS_JOB, self._readied, self._job_changed)

    def mend(self) -> Job[Edit | None]:
        """Mend what the linter finds in the scene (None: nothing), as one edit, on the worker for upgrades.

        Where nothing was done but readying it for close views, that is done anew on top: in the readied scene faults
        are, and may not show any more. Both as the scene is when its turn comes.
        """
        return self._worker.submit(MEND_JOB, self._mended, self._job_changed)

    def _readied(self, report: Report) -> Edit | None:
        met = self.edited
        patch = self._readying(met, report)
        with self._lock:
            if patch is None or not self.edited.same_rows(met):
                return None
            before_landing()
            return self._made_by_hand(patch, CLOSE_VIEWS_NAME, CLOSE_VIEWS)

    def _mended(self, report: Report) -> Edit | None:
        """Both patches first, then both steps: whatever ends it before leaves the scene as it was."""
        with self._lock:
            met, readied = self.edited, self._only_readied()
        base = self.original if readied else met
        patch = mending_patch(base, self.capture, self.file, within(report, 0.0, 0.3) if readied else report)
        if patch is None:
            return None
        again = self._readying(previewed(base, patch), within(report, 0.3, 1.0)) if readied else None
        with self._lock:
            if not self.edited.same_rows(met) or self._only_readied() != readied:
                return None
            before_landing()
            if readied:
                self.undo()
            edit = self._made_by_hand(patch, MENDED, MEND)
            if again is not None:
                self._made_by_hand(again, CLOSE_VIEWS_NAME, CLOSE_VIEWS)
            return edit

    def _readying(self, edited: Edited, report: Report) -> Patch | None:
        return close_views_patch(edited, self.capture, self.rasterizer, report)

    def _only_readied(self) -> bool:
        """Whether the last and only step was to ready the scene for close views."""
        done, there = [step.edit.key for step in self.work.steps.done], [edit.key for edit in self.history]
        return done == there and [edit.name for edit in self.history] == [CLOSE_VIEWS_NAME]

    def _made_by_hand(self, patch: Patch, name: str, reason: str) -> Edit:
        return self._stepped(reason, self.work.by_hand(patch, name, reason))

    def rename_region(self, number: int, name: str) -> None:
        """Call a region something else, told apart from all others; an empty name gives it its number back."""
        with self._lock:
            self.work.rename(number, name.strip()[:60])
        self._tell(RegionsChanged())
