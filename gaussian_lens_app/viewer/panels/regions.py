"""The list of upgrades: fly to, rename, hide, remove, and flip between alternatives."""

from __future__ import annotations

import viser

from gaussian_lens_app.errors import MethodError
from gaussian_lens_app.scene import Box
from gaussian_lens_app.session.arrangement import UpgradedRegion
from gaussian_lens_app.session.choices import for_boxes, for_whole_scenes
from gaussian_lens_app.session.history import Edit
from gaussian_lens_app.viewer import words
from gaussian_lens_app.viewer.desk import Desk
from gaussian_lens_app.viewer.outline import locate, show_region
from gaussian_lens_app.viewer.panels.upgrade import UpgradeSection

NONE = "none yet"


class RegionsPanel:
    """One region is chosen; the buttons are about it."""

    def __init__(self, desk: Desk, upgrades: UpgradeSection):
        self.desk, self.upgrades = desk, upgrades
        self._number: int | None = None
        self._named: int | None = None
        """Whose name stands in the field: it is not written again while somebody types there."""
        self._asked: tuple[str, int, tuple[int, ...]] | None = None
        """What was refused because something stands on it, and the keys of that: asking again does it."""
        self._said_of: tuple[int, ...] = ()
        """What the line below *Try this too* is about, as `_about` tells it."""
        gui = desk.server.gui
        self._list = gui.add_markdown("")
        self._chosen = gui.add_dropdown("Region", [NONE], visible=False)
        desk.on(self._chosen.on_update, self._choose)
        with gui.add_folder("This region", visible=False) as self._folder:
            self._details = gui.add_markdown("")
            self._add_actions()
        with gui.add_folder("Its versions", visible=False) as self._versions_folder:
            self._version = gui.add_dropdown("Shown", [NONE])
            desk.on(self._version.on_update, self._flip)
            self._next = gui.add_button("Next version", color="gray", hint="At the same view. Key: N")
            desk.on(self._next.on_click, self.next_version)
            labels = [choice.label for choice in for_boxes(upgrades.choices)]
            self._other = gui.add_dropdown("Method", labels or [NONE], disabled=not labels)
            self._try = gui.add_button("Try this too", icon=viser.Icon.SPARKLES, disabled=not labels)
            desk.on(self._try.on_click, self._try_other)
            self._tried_line = gui.add_markdown("", visible=False)

    def _add_actions(self) -> None:
        desk, gui = self.desk, self.desk.server.gui
        self._fly = gui.add_button("Fly to it", icon=viser.Icon.PLANE_DEPARTURE, color="gray")
        desk.on(self._fly.on_click, self._fly_to)
        self._hide = gui.add_button("Hide it", icon=viser.Icon.EYE_OFF, color="gray")
        desk.on(self._hide.on_click, self._toggle)
        self._remove = gui.add_button("Remove it", icon=viser.Icon.TRASH, color="gray")
        desk.on(self._remove.on_click, lambda client: self._take_out("remove", client))
        self._name = gui.add_text("Name", "")
        desk.on(self._name.on_update, self._rename)
        self._name_line = gui.add_markdown("", visible=False)

    # ---- what the user asks

    @property
    def region(self) -> UpgradedRegion | None:
        regions = self.desk.session.regions
        return next((one for one in regions if one.number == self._number), regions[-1] if regions else None)

    def _choose(self, client: viser.ClientHandle | None) -> None:
        if client is None:
            return  # the list was rewritten
        work = self.desk.session.work
        for region in self.desk.session.regions:
            if work.name(region.number) == self._chosen.value:
                self._say("", region)
                self._number, self._asked = region.number, None
        self.desk.refresh()

    def _rename(self, client: viser.ClientHandle | None) -> None:
        if client is not None and self.region is not None:
            self.desk.session.rename_region(self.region.number, self._name.value)

    def _fly_to(self, client: viser.ClientHandle | None) -> None:
        desk, region = self.desk, self.region
        if client is None or region is None:
            return
        if region.box is None:
            desk.flights.to(client, desk.home)
            return
        if not self._flown_to(region.box, client):
            desk.tell(client, "Nothing is there", "What this region showed is not drawn any more.")

    def follow(self, edit: Edit, client: viser.ClientHandle) -> None:
        """To the box of the region whose upgrade this is, if it is one."""
        region = next((one for one in self.desk.session.regions if one.key == edit.key), None)
        if region is not None and region.box is not None:
            self._flown_to(region.box, client)

    def _flown_to(self, box: Box, client: viser.ClientHandle) -> bool:
        """Whether there is something to fly to, and then there with a frame around it."""
        desk = self.desk
        target = locate(desk.session.scene, box, desk.session.rasterizer, desk.session.mode)
        if target is not None:
            show_region(desk.server, target, desk.host.unit)
            desk.box_tool.client = client
            desk.flights.to_box(client, target)
            desk.refresh()
        return target is not None

    def _toggle(self, client: viser.ClientHandle | None) -> None:
        region = self.region
        if region is None:
            return
        if region.shown:
            self._take_out("hide", client)
        else:
            self.desk.attempt(lambda: self.desk.session.show_region(region.number), client)

    def _take_out(self, what: str, client: viser.ClientHandle | None) -> None:
        """At once where it stands alone; else the first press names what stands on it, the second takes all."""
        region, session = self.region, self.desk.session
        if region is None:
            return
        action = session.hide_region if what == "hide" else session.remove_region
        asked = (what, region.number, self._above(what, region))
        try:
            action(region.number, with_dependents=self._asked == asked)
            self._asked = None
        except MethodError as error:
            self._asked = asked
            lost = session.work.lost_by_hiding(region.number)
            self.desk.tell(client, str(error), words.press_again(what, lost))
        self.desk.refresh()

    def _above(self, what: str, region: UpgradedRegion) -> tuple[int, ...]:
        """The keys of what would go with a region."""
        now = self.desk.session.work.arrangement
        above = now.dependents(region.key) if what == "hide" else now.standing_on(region.number)
        return tuple(edit.key for edit in above)

    def _flip(self, client: viser.ClientHandle | None) -> None:
        region = self.region
        if client is None or region is None:
            return
        labels = [words.version_label(i, one) for i, one in enumerate(region.alternatives)]
        if self._version.value in labels:
            chosen = labels.index(self._version.value)
            self.desk.attempt(lambda: self.desk.session.flip_region(region.number, chosen), client)

    def next_version(self, client: viser.ClientHandle | None = None) -> None:
        region = self.region
        if region is not None and len(region.alternatives) > 1:
            chosen = (region.chosen + 1) % len(region.alternatives)
            self.desk.attempt(lambda: self.desk.session.flip_region(region.number, chosen), client)

    def _try_other(self, client: viser.ClientHandle | None) -> None:
        region = self.region
        names = [choice.name for choice in self.upgrades.choices if choice.label == self._other.value]
        if region is not None and names:
            self.desk.attempt(lambda: self._tried(region, names[0]), client)

    def _tried(self, region: UpgradedRegion, method: str) -> None:
        """The other tab shows the work and the verdict; here a line says that it is at work, and what came of it."""
        job = self.upgrades.run(method, again=region.number)
        if job is None:
            return
        self._say("At work: the tab Sharpen shows how far it is.", region)
        try:
            outcome = job.result()
        except BaseException:
            self._say("", region)
            raise
        self._say(words.tried_line(method, outcome, region.current), region)

    def _say(self, line: str, region: UpgradedRegion) -> None:
        """Below the button, for as long as this region is the chosen one and has the versions it has now."""
        now = next((one for one in self.desk.session.regions if one.number == region.number), None)
        self._said_of = self._about(now)
        self._tried_line.content = line
        self._show_line()

    def _show_line(self) -> None:
        if self._said_of != self._about(self.region):
            self._tried_line.content = ""
        self._tried_line.visible = bool(self._tried_line.content)

    @staticmethod
    def _about(region: UpgradedRegion | None) -> tuple[int, ...]:
        """A region's number and the keys of its versions."""
        return () if region is None else (region.number, *(one.edit.key for one in region.alternatives))

    # ---- what the session answers

    def refresh(self) -> None:
        session, region = self.desk.session, self.region
        self._list.content = words.region_list(session)
        there = region is not None
        self._folder.visible = self._versions_folder.visible = there
        self._show_line()
        self._chosen.visible = len(session.regions) > 1
        if region is None:
            return
        self._fill(
            self._chosen, [session.work.name(one.number) for one in session.regions], session.work.name(region.number)
        )
        versions = [words.version_label(i, one) for i, one in enumerate(region.alternatives)]
        self._fill(self._version, versions, versions[region.chosen])
        self._next.disabled = len(versions) < 2
        able = for_whole_scenes if region.box is None else for_boxes
        others = [choice.label for choice in able(self.upgrades.choices)]
        if others:
            self._fill(self._other, others, self._other.value if self._other.value in others else others[0])
        self._details.content = words.region_details(session, region)
        if self._named != region.number:
            self._named, self._name.value = region.number, session.work.name(region.number)
        self._name_line.content = words.name_line(self._name.value, session.work.name(region.number))
        self._name_line.visible = bool(self._name_line.content)
        asked = None if self._asked is None else self._asked[0]
        if asked is None or self._asked != (asked, region.number, self._above(asked, region)):
            asked = None  # of another region, or something else stands on it by now
        above, built = session.work.dependents(region.number), session.work.standing_on(region.number)
        hide = f"Hide with {' and '.join(above)}" if asked == "hide" and above else "Hide it"
        self._hide.label = hide if region.shown else "Show it"
        self._hide.icon = viser.Icon.EYE_OFF if region.shown else viser.Icon.EYE
        self._remove.label = f"Remove with {' and '.join(built)}" if asked == "remove" and built else "Remove it"

    @staticmethod
    def _fill(dropdown: viser.GuiDropdownHandle, options: list[str], value: str) -> None:
        if list(dropdown.options) != options:
            dropdown.options = options
        if dropdown.value != value:
            dropdown.value = value
