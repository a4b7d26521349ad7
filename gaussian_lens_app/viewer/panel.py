"""The panel beside the picture: what a newcomer needs on the first page, the rest behind tabs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import viser

from gaussian_lens_app.session import JobChanged, Judged, RegionsChanged, SceneChanged, SelectionChanged
from gaussian_lens_app.session.events import Event
from gaussian_lens_app.session.marking import MARKS_JOB
from gaussian_lens_app.viewer import words
from gaussian_lens_app.viewer.desk import Desk
from gaussian_lens_app.viewer.panels.compare import CompareSection
from gaussian_lens_app.viewer.panels.export import ExportSection
from gaussian_lens_app.viewer.panels.help import FIRST_RUN, HelpPanel, KeysWindow
from gaussian_lens_app.viewer.panels.looking import LookingPanel
from gaussian_lens_app.viewer.panels.mending import MendingSection
from gaussian_lens_app.viewer.panels.photos import PhotosPanel
from gaussian_lens_app.viewer.panels.provenance import ProvenanceSection
from gaussian_lens_app.viewer.panels.records import RecordsPanel
from gaussian_lens_app.viewer.panels.regions import RegionsPanel
from gaussian_lens_app.viewer.panels.select import SelectSection
from gaussian_lens_app.viewer.panels.upgrade import UpgradeSection

if TYPE_CHECKING:
    from viser._messages import HotkeyKey


class Panel:
    """All sections, and the events of the session passed on to them."""

    def __init__(self, desk: Desk):
        self.desk = desk
        desk.refresh = self.refresh
        self._lock = threading.RLock()
        gui = desk.server.gui
        tabs = gui.add_tab_group()
        with tabs.add_tab("Sharpen"):
            self._facts = gui.add_markdown("")
            self.company = gui.add_markdown("", visible=False)
            self._hint = gui.add_markdown(FIRST_RUN)
            self.select = SelectSection(desk)
            self.upgrade = UpgradeSection(desk)
            self.outcome = self.upgrade.outcome
            self.compare = CompareSection(desk)
            self.export = ExportSection(desk)
            self.mending = MendingSection(desk)
        with tabs.add_tab("Regions"):
            self.regions = RegionsPanel(desk, self.upgrade)
            self.provenance = ProvenanceSection(desk)
        with tabs.add_tab("Photos"):
            self.photos = PhotosPanel(desk)
        with tabs.add_tab("View"):
            self.looking = LookingPanel(desk)
            self.records = RecordsPanel(desk)
        with tabs.add_tab("Help"):
            HelpPanel(desk)
        self._keys = KeysWindow()
        self._add_hotkeys()
        self.refresh()

    def _add_hotkeys(self) -> None:
        gui, desk = self.desk.server.gui, self.desk
        keys: list[tuple[str, HotkeyKey, Callable[[viser.ClientHandle | None], object]]] = [
            ("Select region", "B", lambda _: desk.box_tool.toggle()),
            ("Never mind", "escape", self._never_mind),
            ("Zoom to box", "Z", self.select.fly),
            ("Before / after", "C", self.compare.toggle_before),
            ("Split", "X", self.compare.toggle_split),
            ("Next version", "N", self.regions.next_version),
            ("Photo over the picture", "P", self.photos.toggle_overlay),
            ("Where photos were taken", "F", self.photos.toggle_frusta),
            ("Colour splats by origin", "V", lambda _: self.provenance.toggle_tint()),
            ("Bookmark this view", "M", self.records.bookmark),
            ("Keys", "H", self._keys.toggle),
        ]
        for label, key, action in keys:
            desk.on(gui.add_command(label, hotkey=key).on_trigger, action)
        desk.on(gui.add_command("Undo", hotkey="Z", modifier="cmd/ctrl").on_trigger, self.upgrade.steps.undo)
        desk.on(gui.add_command("Redo", hotkey="Z", modifier="cmd/ctrl+shift").on_trigger, self.upgrade.steps.redo)

    def _never_mind(self, client: viser.ClientHandle | None) -> None:
        """What Escape does: no list of keys, no box to be dragged."""
        self._keys.close(client)
        if self.desk.box_tool.armed:
            self.desk.box_tool.toggle()

    def on_event(self, event: Event) -> None:
        """Keep the lines true; called on whichever thread changed something."""
        if isinstance(event, JobChanged):
            self.upgrade.watch(event.job)
            self.upgrade.show_progress()
            self.records.show_progress()
            if event.status.name == MARKS_JOB:
                self.select.refresh()
            if self.upgrade.failed(event.job):
                self.outcome.say(words.failure_line(event.status))
        elif isinstance(event, Judged):
            self.outcome.say(words.outcome_line(event.outcome), refusal=not event.outcome.applied)
            self.refresh()
        elif isinstance(event, SceneChanged | SelectionChanged | RegionsChanged):
            if isinstance(event, SceneChanged):
                self.upgrade.scene_changed()
                self.outcome.scene_changed(event)
                self.compare.scene_changed(event)
            self.refresh()
            if isinstance(event, SceneChanged):
                self._follow(event)

    def _follow(self, event: SceneChanged) -> None:
        """Fly to what was swapped in, where that was asked for and it is not the whole scene."""
        client = self.desk.box_tool.client
        wanted = event.reason in ("upgrade", "force") and self.looking.auto_fly.value
        if wanted and client is not None and not self.desk.flights.away(client.client_id):
            self.regions.follow(event.edit, client)

    def show_company(self) -> None:
        """Whoever else is here shares all but the camera."""
        with self._lock:  # one may come while another goes: who counts last must write last
            browsers = len(self.desk.server.get_clients())
            self.company.content, self.company.visible = words.company_line(browsers), browsers > 1

    def left(self, client: viser.ClientHandle) -> None:
        """A browser is gone: nothing waits for it."""
        self._keys.left(client)
        self.desk.flights.left(client)
        self.desk.box_tool.left(client)
        self.show_company()
        self.refresh()

    def refresh(self) -> None:
        """Every line and every button as the session is now."""
        session = self.desk.session
        with self._lock, self.desk.server.atomic():
            self._facts.content = words.facts(
                session.name, session.scene, session.capture, session.notes, self.desk.project, self.desk.unsaved
            )
            self._hint.visible = session.selection is None and not session.regions
            for part in (self.select, self.upgrade, self.compare, self.export, self.regions):
                part.refresh()
            for part in (self.mending, self.provenance, self.photos, self.records):
                part.refresh()
