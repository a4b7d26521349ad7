"""What is selected: asked for at once, found in the background."""

from __future__ import annotations

import logging

from gaussian_lens_app.errors import GsrError
from gaussian_lens_app.scene import Box
from gaussian_lens_app.session.events import Combine, Pick, Selection
from gaussian_lens_app.session.memory import memory_errors_as_sentences
from gaussian_lens_app.session.state import State

log = logging.getLogger(__name__)


class Selections(State):
    """A chain of boxes, and what they hold."""

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
        except Exception as error:
            log.exception("selection failed")
            sentence = f"The box could not be looked into ({type(error).__name__}: {error}): drag another."
            found = Selection(box, error=GsrError(sentence), picks=picks)
        with self._lock:
            current = self.selection
            if current is None or current.picks is not picks:
                return
            if base is not self.edited:
                found = Selection(box, picks=picks)
            self._set_selection(found)
