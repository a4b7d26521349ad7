"""What came of the last thing that was done, below the button that did it."""

from __future__ import annotations

from gaussian_lens_app.session import SceneChanged
from gaussian_lens_app.session.close_views import CLOSE_VIEWS
from gaussian_lens_app.session.mending import MEND
from gaussian_lens_app.viewer import words
from gaussian_lens_app.viewer.desk import Desk

REASONS = {
    "undo": "Took back {}.",
    "redo": "Made {} again.",
    "hide": "Hid {}.",
    "show": "Shows {} again.",
    "remove": "Removed {}.",
    "flip": "Shows {} instead.",
    "beside": "{} has another version.",
    "delete": "{}.",
    MEND: "{}. Undo takes it back.",
    CLOSE_VIEWS: "Readied for close views: needles and veils before the cameras are gone. Undo takes it back.",
}
UNDONE = {
    "hide": "Shows {} again.",
    "show": "Hid {} again.",
    "remove": "{} is back.",
    "flip": "Shows the other version of {} again.",
    "beside": "{} has one version less.",
}
"""What undoing these steps is called; undoing others took them back."""
AGAIN = {"undo": UNDONE, "redo": {reason: REASONS[reason] for reason in UNDONE}}


class OutcomeLines:
    """The verdict, or what else happened, and the button that overrules a refusal."""

    def __init__(self, desk: Desk):
        self.desk = desk
        gui = desk.server.gui
        self._refusal = False
        """Whether the line tells of a refusal that can be overruled; what waits for splats has its own line."""
        self.line = gui.add_markdown("", visible=False)
        self.waits = gui.add_markdown("", visible=False)
        self.force = gui.add_button(
            "Apply anyway", color="orange", visible=False, hint="Swap in what was not; you can undo it."
        )
        desk.on(self.force.on_click, lambda _: desk.session.force())

    def say(self, line: str, refusal: bool = False) -> None:
        """What came of the last thing that was done; only a refusal can be overruled, and only while it is read."""
        self.line.content, self.line.visible, self._refusal = line, bool(line), refusal
        self.refresh()

    def scene_changed(self, event: SceneChanged) -> None:
        step, work = event.step, self.desk.session.work
        if event.reason not in REASONS:
            return
        sentence = REASONS[event.reason]
        if step is not None and event.reason in AGAIN:
            sentence = AGAIN[event.reason].get(step.reason, sentence)
        title = work.title(event.edit) if step is None else work.title_of(step)
        self.say(words.shown_again(sentence.format(words.plain(title)), self._gone(event)))

    def _gone(self, event: SceneChanged) -> tuple[str, ...]:
        """What had been done by hand to the region that is shown now, and went when it was hidden."""
        work = self.desk.session.work
        number = next((one.number for one in self.desk.session.regions if one.key == event.edit.key), None)
        return work.not_brought_back(number) if number is not None and event.reason in ("show", "flip") else ()

    def refresh(self) -> None:
        refused, waiting = self.desk.session.refused, self.desk.session.waiting
        self.waits.visible = waiting is not None
        self.waits.content = "" if waiting is None else words.waiting_line(waiting)
        self.force.visible = waiting is not None or (self._refusal and refused is not None)
