"""4 · Export: into the export folder on the server, or through the browser."""

from __future__ import annotations

import viser

from gaussian_lens_app.errors import GsrError
from gaussian_lens_app.session import ExportSettings
from gaussian_lens_app.viewer import words
from gaussian_lens_app.viewer.desk import Desk
from gaussian_lens_app.viewer.downloads import LARGEST_DOWNLOAD, as_bytes, download_name, safe_name

WHOLE, SELECTION = "Whole scene", "Selection"


class ExportSection:
    """What, how, and under which name."""

    def __init__(self, desk: Desk):
        self.desk = desk
        gui = desk.server.gui
        with gui.add_folder("4 · Export"):
            self._name = gui.add_text("File", download_name(desk.session.name), hint="Ends in .ply or .glb (points).")
            self._save = gui.add_button_group(
                "Save", ["Export", "Download"], hint="Write it on the server, or save it through the browser."
            )
            self._save.on_click(lambda event: self._do(event.client))
            with gui.add_folder("More about the file", expand_by_default=False):
                self._part = gui.add_dropdown("Part", [WHOLE, SELECTION])
                self._provenance = gui.add_checkbox(
                    "Say origins", False, hint="Where each Gaussian comes from, as two more properties of the PLY."
                )
                self._classic = gui.add_checkbox(
                    "For others",
                    False,
                    disabled=desk.session.capture is None,
                    hint="Compensate opacities for viewers that draw without antialiasing.",
                )
                gui.add_markdown(f"Files go to `{desk.exports}`")

    @property
    def settings(self) -> ExportSettings:
        how = {"provenance": self._provenance.value, "classic": self._classic.value}
        part = str(self._part.value)
        if part in (WHOLE, SELECTION):
            return ExportSettings(part="scene" if part == WHOLE else "selection", **how)
        numbers = {self.desk.session.work.name(r.number): r.number for r in self.desk.session.regions}
        return ExportSettings(part="region", region=numbers.get(part, 0), **how)

    def _do(self, client: viser.ClientHandle | None) -> None:
        if self._save.value == "Export":
            self._write(client)
        else:
            self._send(client)

    def _write(self, client: viser.ClientHandle | None) -> None:
        """The name is the browser's, the folder never."""
        name = safe_name(self._name.value, download_name(self.desk.session.name))
        job = self.desk.session.export_in_background(self.desk.exports / name, self.settings)
        try:
            path = job.result()
        except GsrError as error:
            self.desk.tell(client, "Not exported", str(error), bad=True)
            return
        self.desk.tell(client, "Exported", f"{words.size_of(path)} in {path.name}, folder {path.parent}")

    def _send(self, client: viser.ClientHandle | None) -> None:
        if client is None:
            return
        name = safe_name(self._name.value, download_name(self.desk.session.name))

        def send() -> None:
            data = as_bytes(self.desk.session, name, self.settings)
            if len(data) > LARGEST_DOWNLOAD:
                raise GsrError("That is too much for a browser's memory: press Export and fetch the file instead.")
            client.send_file_download(name, data)

        self.desk.attempt(send, client)

    def refresh(self) -> None:
        work = self.desk.session.work
        options = [WHOLE, SELECTION, *(work.name(region.number) for region in self.desk.session.regions)]
        if list(self._part.options) != options:
            self._part.options = options
