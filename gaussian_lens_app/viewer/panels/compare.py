"""3 · Compare: what came of it, before and after, back and forth."""

from __future__ import annotations

import torch
import viser

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


class CompareSection:
    """The verdict, undo and redo, and the switches between before and after."""

    def __init__(self, desk: Desk):
        self.desk = desk
        gui = desk.server.gui
        with gui.add_folder("3 · Compare"):
            self.result = gui.add_markdown("", visible=False)
            self._force = gui.add_button(
                "Apply anyway", color="orange", visible=False, hint="Swap in what the judge refused; you can undo it."
            )
            self._force.on_click(lambda event: desk.attempt(desk.session.force, event.client))
            self._before = gui.add_button(
                "Show before",
                icon=viser.Icon.EYE,
                color="gray",
                disabled=True,
                hint="Without upgrades. Key: C",
            )
            self._before.on_click(lambda _: self.toggle_before())
            self._split_on = gui.add_checkbox("Split", False, hint="Before on the left, after on the right. Key: X")
            self._split_on.on_update(lambda event: self._set_split() if event.client else None)
            self._split = gui.add_slider("Position", 0.02, 0.98, 0.01, 0.5, visible=False)
            self._split.on_update(lambda event: self._set_split() if event.client else None)
            self._steps = gui.add_button_group("Steps", ["Undo", "Redo"], visible=False)
            self._steps.on_click(lambda event: self._step(event.client))

    def _step(self, client: viser.ClientHandle | None) -> None:
        session = self.desk.session
        self.desk.attempt(session.undo if self._steps.value == "Undo" else session.redo, client)

    def toggle_before(self) -> None:
        """The scene without upgrades (readied for close views, where it was), or as it is."""
        self.desk.display.set(before=not self.desk.display.looks.before, split=None)
        self._split_on.value = self._split.visible = False
        self.refresh()

    def toggle_split(self) -> None:
        self._split_on.value = not self._split_on.value
        self._set_split()

    def _set_split(self) -> None:
        on = self._split_on.value
        self._split.visible = on
        self.desk.display.set(split=float(self._split.value) if on else None, before=False)
        self.refresh()

    def say(self, line: str) -> None:
        """What came of the last thing that was done."""
        self.result.content, self.result.visible = line, bool(line)
        self._force.visible &= bool(line)  # without the verdict it would not say what it applies

    def scene_changed(self, event: SceneChanged) -> None:
        if event.reason in REASONS:
            self.say(REASONS[event.reason].format(words.plain(self.desk.session.work.title(event.edit))))
        if self.desk.display.looks.before:
            self.desk.display.set(before=False)  # who changes the scene wants to see it

    def refresh(self) -> None:
        session, looks = self.desk.session, self.desk.display.looks
        self._steps.visible = session.can_undo or session.can_redo
        self._force.visible = session.refused is not None and self.result.visible
        same = torch.equal(session.edited.ids, session.baseline.ids)  # undo to the start makes another, equal scene
        self._before.disabled = not looks.before and same
        self._before.label = "Show after" if looks.before else "Show before"
        self._before.color = "orange" if looks.before else "gray"
