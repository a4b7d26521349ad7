"""What is wrong with the scene that was opened, and the offer to mend it."""

from __future__ import annotations

import viser

from gaussian_lens_app.formats import Finding
from gaussian_lens_app.jobs import Report
from gaussian_lens_app.session.mending import MENDED, PLAIN_TO_SEE, faults
from gaussian_lens_app.viewer import words
from gaussian_lens_app.viewer.desk import Desk


class MendingSection:
    """Looks for faults in the background once; offers to mend them for as long as they are not mended."""

    def __init__(self, desk: Desk):
        self.desk = desk
        self.found: tuple[Finding, ...] = ()
        gui = desk.server.gui
        self._folder = gui.add_folder("Found in this file", visible=False)
        with self._folder:
            self._list = gui.add_markdown("")
            self._mend = gui.add_button("", icon=viser.Icon.BANDAGE, color="gray", hint="One step; you can undo it.")
            desk.on(self._mend.on_click, self._start)
        desk.server.on_client_connect(self._tell)
        self.looking = desk.session.in_background("Looking for faults", self._look)

    @property
    def mended(self) -> bool:
        return any(edit.name == MENDED for edit in self.desk.session.history)

    def _start(self, client: viser.ClientHandle | None) -> None:
        mended = self.desk.session.mend().result()
        if mended is None and not self.mended:  # else it was a press too many
            self.desk.tell(client, "Nothing was mended", "Undo what was done since the file was opened, then mend.")

    def _look(self, report: Report) -> None:
        session = self.desk.session
        self.found = faults(session.original.scene, session.capture, session.file)
        self.refresh()
        for client in self.desk.server.get_clients().values():
            self._tell(client)

    def _tell(self, client: viser.ClientHandle) -> None:
        """Say it aloud where all of the picture is wrong."""
        spoilt = [finding.sentence for finding in self.found if finding.kind in PLAIN_TO_SEE]
        if spoilt and not self.mended:
            self.desk.tell(client, "Something is wrong with this file", f"{spoilt[0]} {self._mend.label}: see below.")

    def refresh(self) -> None:
        self._folder.visible = bool(self.found) and not self.mended
        self._list.content = "  \n".join(words.plain(finding.sentence) for finding in self.found)
        self._mend.label = f"Mend {len(self.found)} finding{'s' * (len(self.found) != 1)}"
