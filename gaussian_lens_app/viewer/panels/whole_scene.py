"""All splats at once: by which method, and the button."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gaussian_lens_app.methods.base import Scope
from gaussian_lens_app.session.choices import Choice, for_whole_scenes
from gaussian_lens_app.viewer import words
from gaussian_lens_app.viewer.desk import Desk


class WholeSceneControls:
    """A method of their own, since what does best in a box is not what does best in a whole scene."""

    def __init__(self, desk: Desk, choices: Sequence[Choice], start: Callable[[str], object]):
        """`start(method)` upgrades the whole scene."""
        self._desk, self._choices, self._start = desk, for_whole_scenes(choices), start
        if not self._choices:
            return
        gui = desk.server.gui
        self._method = gui.add_dropdown("Whole scene", [choice.label for choice in self._choices])
        desk.on(self._method.on_update, lambda _: self.refresh())
        self._hint = gui.add_markdown("")
        button = gui.add_button(
            "Upgrade whole scene",
            color="gray",
            hint="All splats, not only the box. Takes minutes; you can look around, cancel and undo.",
        )
        desk.on(button.on_click, lambda _: self._start(self._chosen.name))
        self.refresh()

    @property
    def _chosen(self) -> Choice:
        return next(choice for choice in self._choices if choice.label == self._method.value)

    def refresh(self) -> None:
        if not self._choices:
            return
        parts = "Part by part, each as a box of its own: " if Scope.SCENE not in self._chosen.scopes else ""
        estimate = self._desk.session.estimate_whole(self._chosen.name)
        self._hint.content = f"{parts}{words.method_lines(self._chosen, estimate)}"
