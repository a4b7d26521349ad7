"""4 · Export: into the export folder on the server, or through the browser."""

from __future__ import annotations

from pathlib import Path

import viser

from gaussian_lens_app.jobs import Report
from gaussian_lens_app.session import ExportSettings
from gaussian_lens_app.session.exporting import losses
from gaussian_lens_app.viewer import words
from gaussian_lens_app.viewer.desk import Desk
from gaussian_lens_app.viewer.downloads import as_bytes, download_name, free_file, scene_name

WHOLE, SELECTION = "Whole scene", "Selection"


class ExportSection:
    """What, how, and under which name."""

    def __init__(self, desk: Desk):
        self.desk = desk
        gui = desk.server.gui
        with gui.add_folder("4 · Export"):
            self._name = gui.add_text(
                "File",
                download_name(desk.session.name),
                hint="Ends in .ply, .compressed.ply, .splat, .spz, .sog, or .glb (points instead of splats).",
            )
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
                    "Classic viewers",
                    False,
                    disabled=desk.session.capture is None,
                    hint="Opacities made for viewers that draw without antialiasing, as most on the web do.",
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
            self.write(client)
        else:
            self.send(client)

    def write(self, client: viser.ClientHandle | None) -> None:
        """The name is the browser's, the folder never; nothing that is there is replaced."""
        session, settings = self.desk.session, self.settings

        def export(report: Report) -> Path:
            path = self._path()  # here, where one job runs at a time, no other can take the name
            self._warn(path, settings, client)
            return session.export(path, settings)

        def wait() -> None:
            path = session.in_background("Export", export).result()
            self.desk.tell(client, "Exported", f"{words.size_of(path)} in {path.name}, folder {path.parent}")

        self.desk.attempt(wait, client, "Not exported")

    def send(self, client: viser.ClientHandle | None) -> None:
        if client is None:
            return
        settings = self.settings

        def work() -> None:
            name = self._file_name()
            self._warn(Path(name), settings, client)
            client.send_file_download(name, as_bytes(self.desk.session, name, settings))

        self.desk.attempt(work, client)

    def _file_name(self) -> str:
        return scene_name(self._name.value, download_name(self.desk.session.name))

    def _path(self) -> Path:
        file = self.desk.session.file
        return free_file(self.desk.exports, self._file_name(), None if file is None else file.path)

    def _warn(self, path: Path, settings: ExportSettings, client: viser.ClientHandle | None) -> None:
        """Say what the file will lose, before it is written."""
        session = self.desk.session
        region = None if session.selection is None else session.selection.region
        lost = losses(path, session.edited, settings, region)
        if lost:
            self.desk.tell(client, "This format keeps less", " ".join(lost))

    def refresh(self) -> None:
        work = self.desk.session.work
        options = [WHOLE, SELECTION, *(work.name(region.number) for region in self.desk.session.regions)]
        if list(self._part.options) != options:
            self._part.options = options
