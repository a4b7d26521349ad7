"""The panel beside the picture: select, upgrade, result, export, from top to bottom."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import viser

from gaussian_lens_app.errors import GsrError
from gaussian_lens_app.jobs import Job, JobState
from gaussian_lens_app.methods.base import Budget
from gaussian_lens_app.session import JobChanged, Judged, SceneChanged, SelectionChanged, Session
from gaussian_lens_app.session.choices import choices
from gaussian_lens_app.session.events import Event
from gaussian_lens_app.viewer import words
from gaussian_lens_app.viewer.box_tool import BoxTool
from gaussian_lens_app.viewer.display import Display
from gaussian_lens_app.viewer.downloads import as_bytes, download_name
from gaussian_lens_app.viewer.flight import Flights


class Panel:
    """Controls that ask the session, and lines that say what it answered."""

    def __init__(
        self, server: viser.ViserServer, session: Session, display: Display, box_tool: BoxTool, flights: Flights
    ):
        self.server, self.session, self.display = server, session, display
        self.box_tool, self.flights = box_tool, flights
        self._jobs: list[Job] = []
        self._lock = threading.Lock()
        self._facts = server.gui.add_markdown("")
        with server.gui.add_folder("1 · Select"):
            self._add_select()
        with server.gui.add_folder("2 · Upgrade"):
            self._add_upgrade()
        with server.gui.add_folder("3 · Result"):
            self._add_result()
        with server.gui.add_folder("4 · Export"):
            self._add_export()
        with server.gui.add_folder("View", expand_by_default=False):
            self._add_options()
        self._add_hotkeys()
        self.refresh()

    # ---- sections

    def _add_select(self) -> None:
        gui = self.server.gui
        self._select = gui.add_button(
            "Select region", icon=viser.Icon.CROP, hint="Then drag a box over what you want sharp. Key: B"
        )
        self._select.on_click(lambda _: self.box_tool.toggle())
        self._selection = gui.add_markdown("")
        self._zoom = gui.add_button("Zoom to box", icon=viser.Icon.ZOOM_IN, color="gray", visible=False)
        self._zoom.on_click(lambda event: self._fly(event.client))
        self._clear = gui.add_button("Clear box", icon=viser.Icon.X, color="gray", visible=False)
        self._clear.on_click(lambda _: self.box_tool.clear())

    def _add_upgrade(self) -> None:
        gui = self.server.gui
        self._choices = choices(self.session.capture)
        labels = [choice.label for choice in self._choices if choice.missing is None]
        self._method = gui.add_dropdown("Method", labels or ["none can run"], disabled=not labels)
        self._method.on_update(lambda _: self._show_method())
        self._method_hint = gui.add_markdown("")
        budget = Budget()
        self._seconds = gui.add_slider(
            "Seconds", 1.0, 30.0, 0.5, budget.seconds, hint="Time for the method itself; longer fits better."
        )
        self._gaussians = gui.add_slider(
            "Gaussians", 5_000, 200_000, 5_000, budget.gaussians, hint="At most so many Gaussians are added."
        )
        self._upgrade = gui.add_button("Upgrade", icon=viser.Icon.SPARKLES, disabled=True)
        self._upgrade.on_click(self._start)
        self._bar = gui.add_progress_bar(0.0, visible=False)
        self._progress = gui.add_markdown("", visible=False)
        self._cancel = gui.add_button("Cancel", color="red", visible=False)
        self._cancel.on_click(lambda _: self._stop_job())

    def _add_result(self) -> None:
        gui = self.server.gui
        self._result = gui.add_markdown("Nothing upgraded yet.")
        self._force = gui.add_button(
            "Apply anyway", color="orange", visible=False, hint="Swap in what the judge refused; you can undo it."
        )
        self._force.on_click(lambda _: self._attempt(self.session.force))
        self._undo = gui.add_button("Undo", icon=viser.Icon.ARROW_BACK_UP, color="gray", disabled=True)
        self._undo.on_click(lambda _: self._attempt(self.session.undo))
        self._redo = gui.add_button("Redo", icon=viser.Icon.ARROW_FORWARD_UP, color="gray", disabled=True)
        self._redo.on_click(lambda _: self._attempt(self.session.redo))

    def _add_export(self) -> None:
        gui = self.server.gui
        self._path = gui.add_text("File", str(Path.cwd() / download_name(self.session.name)))
        self._export = gui.add_button(
            "Export", icon=viser.Icon.DEVICE_FLOPPY, color="gray", hint="Write it on this machine."
        )
        self._export.on_click(lambda event: self._write(event.client))
        self._download = gui.add_button(
            "Download", icon=viser.Icon.DOWNLOAD, color="gray", hint="Save it through the browser."
        )
        self._download.on_click(lambda event: self._send(event.client))

    def _add_options(self) -> None:
        gui = self.server.gui
        self._auto_fly = gui.add_checkbox("Fly to box", False, hint="When its upgrade is swapped in.")
        self._tint = gui.add_checkbox("Tint selected", True, hint="Colour the selected Gaussians.")
        self._tint.on_update(lambda _: self.display.set_tint(self._tint.value))
        self._smooth = gui.add_checkbox(
            "Anti-aliased", self.session.mode.antialiased, hint="Off for scenes that were trained without it."
        )
        self._smooth.on_update(lambda _: self.display.set_antialiased(self._smooth.value))

    def _add_hotkeys(self) -> None:
        gui = self.server.gui
        gui.add_command("Select region", hotkey="B").on_trigger(lambda _: self.box_tool.toggle())
        gui.add_command("Undo", hotkey="Z", modifier="cmd/ctrl").on_trigger(lambda _: self._attempt(self.session.undo))
        gui.add_command("Redo", hotkey="Z", modifier="cmd/ctrl+shift").on_trigger(
            lambda _: self._attempt(self.session.redo)
        )

    # ---- what the user asks

    def _start(self, event: viser.GuiEvent) -> None:
        selection = self.session.selection
        chosen = next((choice for choice in self._choices if choice.label == self._method.value), None)
        if selection is None or chosen is None:
            return
        budget = Budget(float(self._seconds.value), int(self._gaussians.value))
        self.display.untint(selection.region)  # so that the swap shows as what it is
        with self._lock:  # its first news waits until it is in the list
            job = self.session.upgrade(selection.box, chosen.name, budget)
            self._jobs = [one for one in self._jobs if not one.state.finished] + [job]
        self._show_progress()

    def _stop_job(self) -> None:
        """The one at work; those that wait go on."""
        for job in self._jobs:
            if job.cancel():
                return

    def _fly(self, client: viser.ClientHandle | None) -> None:
        """To the box, or back when this browser is there."""
        if client is None:
            return
        if not self.flights.back(client) and self.box_tool.target is not None:
            self.flights.to_box(client, self.box_tool.target)
        self.refresh()

    def _write(self, client: viser.ClientHandle | None) -> None:
        job = self.session.export_in_background(self._path.value)
        count = len(self.session.scene)
        self._answer(client, lambda: f"{count:,} Gaussians in {job.result().name}", "Exported")

    def _send(self, client: viser.ClientHandle | None) -> None:
        if client is not None:
            name = download_name(self.session.name)
            self._attempt(lambda: client.send_file_download(name, as_bytes(self.session)))

    def _answer(self, client: viser.ClientHandle | None, sentence: Callable[[], str], title: str) -> None:
        """Tell the one who asked, good or bad."""
        try:
            body, color = sentence(), None
        except GsrError as error:
            title, body, color = f"Not {title.lower()}", str(error), "red"
        if client is not None:
            client.add_notification(title, body, color=color, auto_close_seconds=None if color else 6)

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except GsrError as error:
            for client in self.server.get_clients().values():
                client.add_notification("That did not work", str(error), color="red")

    # ---- what the session answers

    def on_event(self, event: Event) -> None:
        """Keep the lines true; called on whichever thread changed something."""
        if isinstance(event, JobChanged):
            self._show_progress()
            if event.job in self._jobs and event.status.state in (JobState.FAILED, JobState.CANCELLED):
                self._result.content = words.failure_line(event.status)
        elif isinstance(event, Judged):
            self._result.content = words.outcome_line(event.outcome)
            self.refresh()
        elif isinstance(event, SceneChanged | SelectionChanged):
            self.refresh()
            if isinstance(event, SceneChanged):
                self._scene_changed(event)

    def _scene_changed(self, event: SceneChanged) -> None:
        if event.reason == "undo":
            self._result.content = f"Took back {event.edit.name}."
        elif event.reason == "redo":
            self._result.content = f"Made {event.edit.name} again."
        elif self._auto_fly.value and self.box_tool.client is not None and not self.flights.away:
            self._fly(self.box_tool.client)

    def _show_progress(self) -> None:
        with self._lock, self.server.atomic():
            left = [job for job in self._jobs if not job.state.finished]
            self._bar.visible = self._progress.visible = self._cancel.visible = bool(left)
            if left:
                self._bar.value = 100 * left[0].status.fraction
                self._progress.content = words.progress_line(left[0].status, len(left) - 1)

    def _show_method(self) -> None:
        self._method_hint.content = words.method_lines(self._choices, str(self._method.value))

    def refresh(self) -> None:
        """Every line and every button as the session is now."""
        session, selection = self.session, self.session.selection
        with self._lock, self.server.atomic():
            self._facts.content = words.facts(session.name, session.scene, session.capture, session.notes)
            self._selection.content = words.selection_line(selection, self.box_tool.armed)
            self._select.label = "Cancel selecting" if self.box_tool.armed else "Select region"
            self._clear.visible = selection is not None
            self._show_method()
            nothing = selection is None or (selection.region is not None and selection.region.count == 0)
            self._upgrade.disabled = nothing or self._method.disabled
            self._undo.disabled, self._redo.disabled = not session.can_undo, not session.can_redo
            self._force.visible = session.refused is not None
            self._zoom.visible = self.flights.away or (selection is not None and self.box_tool.target is not None)
            self._zoom.label = "Fly back" if self.flights.away else "Zoom to box"
            self._zoom.icon = viser.Icon.ZOOM_OUT if self.flights.away else viser.Icon.ZOOM_IN
