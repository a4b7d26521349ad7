"""4 · Export: into the export folder on the server, or through the browser."""

from __future__ import annotations

import math
import time
from pathlib import Path

import viser

from gaussian_lens_app.formats.atomic import make_folder
from gaussian_lens_app.jobs import Report
from gaussian_lens_app.session import ExportSettings
from gaussian_lens_app.session.workspace import SELECTION, WHOLE
from gaussian_lens_app.viewer import words
from gaussian_lens_app.viewer.desk import Desk
from gaussian_lens_app.viewer.downloads import as_bytes, download_name, free_file, scene_name

DOUBLE_CLICK = 1.0
"""Two clicks within so many seconds are one."""


class ExportSection:
    """What, how, and under which name."""

    def __init__(self, desk: Desk):
        self.desk = desk
        self._chosen: str | int = "scene"
        """The part to write: "scene", "selection", or a region's number, whatever that is called by now."""
        self._clicked = -math.inf
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
            desk.on(self._save.on_click, self._do)
            with gui.add_folder("More about the file", expand_by_default=False):
                self._part = gui.add_dropdown("Part", [WHOLE, SELECTION])
                desk.on(self._part.on_update, self._choose)
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
        if isinstance(self._chosen, str):
            return ExportSettings(part=self._chosen, **how)
        return ExportSettings(part="region", region=self._chosen, **how)

    @property
    def _parts(self) -> dict[str, str | int]:
        """What can be chosen, by what it is called. A region that is gone stays there for as long as it is chosen: the
        export says so instead of writing something else."""
        session = self.desk.session
        numbers = [region.number for region in session.regions]
        if isinstance(self._chosen, int) and self._chosen not in numbers:
            numbers.append(self._chosen)
        return {WHOLE: "scene", SELECTION: "selection", **{session.work.name(number): number for number in numbers}}

    def _choose(self, client: viser.ClientHandle | None) -> None:
        if client is not None:  # else the list was rewritten
            self._chosen = self._parts.get(str(self._part.value), self._chosen)

    def _do(self, client: viser.ClientHandle | None) -> None:
        last, self._clicked = self._clicked, time.monotonic()
        if self._clicked - last < DOUBLE_CLICK:
            return
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
            make_folder(path.parent)
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
        lost = self.desk.session.losses(path, settings)
        if lost:
            self.desk.tell(client, "This format keeps less", " ".join(lost))

    def refresh(self) -> None:
        parts = self._parts
        if list(self._part.options) != list(parts):
            self._part.options = list(parts)
        self._part.value = next((name for name, part in parts.items() if part == self._chosen), WHOLE)
