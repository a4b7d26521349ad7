"""Undo and redo, where one reads what was done."""

from __future__ import annotations

import viser

from gaussian_lens_app.viewer.desk import Desk


class StepButtons:
    """Two buttons, shown while there is something to take back or to make again."""

    def __init__(self, desk: Desk):
        self.desk = desk
        self._steps = desk.server.gui.add_button_group("Steps", ["Undo", "Redo"], visible=False)
        desk.on(self._steps.on_click, self._step)

    def _step(self, client: viser.ClientHandle | None) -> None:
        if self._steps.value == "Undo":
            self.undo(client)
        else:
            self.redo(client)

    def undo(self, client: viser.ClientHandle | None) -> None:
        session = self.desk.session
        if session.can_undo:
            self.desk.attempt(session.undo, client)
        else:
            self.desk.tell(client, "Nothing to undo", "The scene is as it was opened.")

    def redo(self, client: viser.ClientHandle | None) -> None:
        session = self.desk.session
        if session.can_redo:
            self.desk.attempt(session.redo, client)
        else:
            self.desk.tell(client, "Nothing to redo", "Nothing was undone since the last change.")

    def refresh(self) -> None:
        self._steps.visible = self.desk.session.can_undo or self.desk.session.can_redo
