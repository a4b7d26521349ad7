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
    "delete": "{}.",
    MEND: "{}. Undo takes it back.",
    CLOSE_VIEWS: "Readied for close views: needles and veils before the cameras are gone. Undo takes it back.",
}


class OutcomeLines:
    """The verdict, or what else happened, and the button that overrules a refusal."""

    def __init__(self, desk: Desk):
        self.desk = desk
        gui = desk.server.gui
        self.line = gui.add_markdown("", visible=False)
        self.force = gui.add_button(
            "Apply anyway", color="orange", visible=False, hint="Swap in what the judge refused; you can undo it."
        )
        desk.on(self.force.on_click, lambda _: desk.session.force())

    def say(self, line: str) -> None:
        """What came of the last thing that was done."""
        self.line.content, self.line.visible = line, bool(line)
        self.force.visible &= bool(line)  # without the verdict it would not say what it applies

    def scene_changed(self, event: SceneChanged) -> None:
        if event.reason in REASONS:
            self.say(REASONS[event.reason].format(words.plain(self.desk.session.work.title(event.edit))))

    def refresh(self) -> None:
        self.force.visible = self.desk.session.refused is not None and self.line.visible
