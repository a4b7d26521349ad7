"""1 · Select: drag a box, see what it holds, and where boxing pays."""

from __future__ import annotations

import viser

from gaussian_lens_app.session import Combine
from gaussian_lens_app.session.looks import Marks
from gaussian_lens_app.session.missing import suggested_boxes
from gaussian_lens_app.viewer import words
from gaussian_lens_app.viewer.box_tool import PickOptions
from gaussian_lens_app.viewer.desk import Desk
from gaussian_lens_app.viewer.display import camera_of
from gaussian_lens_app.viewer.outline import hide_suggestions, locate, show_suggestion

WAYS = {"New": Combine.NEW, "Add": Combine.ADD, "Remove": Combine.REMOVE, "Intersect": Combine.INTERSECT}
ZOOM, BACK, CLEAR = "Zoom to box", "Fly back", "Clear box"
SHALLOWEST, DEEPEST = 1.0, 3.0


class SelectSection:
    """Buttons around the box tool."""

    def __init__(self, desk: Desk):
        self.desk = desk
        self._suggested: int | None = 0
        """How many boxes are suggested; None: still looking."""
        self._asked: object | None = None
        """The search for suggestions that counts: what an earlier one finds is not shown any more."""
        gui, tool = desk.server.gui, desk.box_tool
        with gui.add_folder("1 · Select"):
            self._select = gui.add_button(
                "Select region", icon=viser.Icon.CROP, hint="Then drag a box over what you want sharp. Key: B"
            )
            desk.on(self._select.on_click, lambda _: tool.toggle())
            self._line = gui.add_markdown("")
            self._box = gui.add_button_group("The box", [ZOOM, CLEAR], visible=False)
            desk.on(self._box.on_click, self._on_box)
            self._suggest = gui.add_button(
                "What is blurred here?",
                icon=viser.Icon.BULB,
                color="gray",
                visible=desk.session.capture is not None,
                hint="Marks what your photos show more finely than the scene, and suggests boxes to click.",
            )
            desk.on(self._suggest.on_click, self._toggle_missing)
            self._marks = gui.add_dropdown(
                "Marks show",
                [marks.value for marks in Marks],
                visible=False,
                hint="Fine structure that the scene lacks, or where the photos pull at its splats.",
            )
            desk.on(self._marks.on_update, self._set_marks)
            with gui.add_folder("More ways to select", expand_by_default=False):
                self._add_ways()

    def _add_ways(self) -> None:
        gui = self.desk.server.gui
        self._how = gui.add_dropdown("Next box", list(WAYS), hint="What the next box does to what is selected.")
        self._through = gui.add_checkbox("Through", False, hint="Take what is hidden behind the surface too.")
        self._limited = gui.add_checkbox("Depth limit", False, hint="Leave out what lies deeper than what you see.")
        self._depth = gui.add_slider(
            "Depth", SHALLOWEST, DEEPEST, 0.05, 1.2, visible=False, hint="Times the depth of what the box shows."
        )
        for control in (self._how, self._through, self._limited, self._depth):
            self.desk.on(control.on_update, lambda _: self._set_options())
        self._invert = gui.add_button("Invert", color="gray", disabled=True, hint="Select all the others instead.")
        self.desk.on(self._invert.on_click, lambda _: self.desk.session.invert_selection())

    def _set_options(self) -> None:
        self._depth.visible = self._limited.value
        depth = float(self._depth.value) if self._limited.value else None
        self.desk.box_tool.options = PickOptions(WAYS[self._how.value], self._through.value, depth)

    def _on_box(self, client: viser.ClientHandle | None) -> None:
        if self._box.value == CLEAR:
            self.desk.box_tool.clear()
        else:
            self.fly(client)

    def fly(self, client: viser.ClientHandle | None) -> None:
        """To the box, or back when this browser is there."""
        if client is None:
            return
        flights, target = self.desk.flights, self.desk.box_tool.target
        self.desk.box_tool.client = client
        came_back = flights.back(client)
        if not came_back and target is None:
            self.desk.tell(client, "Nothing to fly to", "Drag a box over something that is drawn first.")
        elif not came_back and target is not None:
            flights.to_box(client, target)
        self.desk.refresh()

    def _set_marks(self, client: viser.ClientHandle | None) -> None:
        self.desk.display.set(marks=Marks(self._marks.value))
        if self.desk.display.looks.missing:
            self._suggest_anew(client)

    def _toggle_missing(self, client: viser.ClientHandle | None) -> None:
        on = not self.desk.display.looks.missing
        self.desk.display.set(missing=on)
        if on:
            self._suggest_anew(client)
        else:
            self._asked = None
            hide_suggestions(self.desk.server)
            self.refresh()

    def _suggest_anew(self, client: viser.ClientHandle | None) -> None:
        hide_suggestions(self.desk.server)
        asked = self._asked = object()
        self._suggested = None
        self.refresh()
        if client is not None:
            self.desk.attempt(lambda: self._show_suggestions(client, asked), client)
            if self._asked is asked and self._suggested is None:  # it failed: nobody compares any more
                self._suggested = 0
                self.refresh()

    def _show_suggestions(self, client: viser.ClientHandle, asked: object) -> None:
        desk, session = self.desk, self.desk.session
        assert session.capture is not None
        view = desk.host.get_camera_state(client)
        camera = camera_of(view, (view.width, view.height))
        boxes = suggested_boxes(
            session.scene, camera, session.capture, session.rasterizer, session.mode, marks=desk.display.looks.marks
        )
        targets = [(box, locate(session.scene, box, session.rasterizer, session.mode)) for box in boxes]
        if not self._wanted(asked):
            return
        for number, (box, target) in enumerate(targets, 1):
            if target is not None:
                show_suggestion(desk.server, number, target, desk.host.unit, lambda one, box=box: self._take(box, one))
        if not self._wanted(asked):  # hidden while they were put there
            hide_suggestions(desk.server)
            return
        self._suggested = len(boxes)
        self.refresh()
        if not boxes:
            desk.tell(client, "Nothing to suggest", "From here the scene shows all that the photos do.")

    def _wanted(self, asked: object) -> bool:
        """Whether what was looked for is still to be shown."""
        return self._asked is asked and self.desk.display.looks.missing

    def _take(self, box, client: viser.ClientHandle) -> None:
        self.desk.display.set(missing=False)
        self.desk.box_tool.take(box, client)
        self.refresh()

    def refresh(self) -> None:
        desk, tool, selection = self.desk, self.desk.box_tool, self.desk.session.selection
        self._line.content = words.selection_line(selection, tool.armed)
        if desk.display.looks.missing and not tool.armed:
            marking = desk.display.marking
            self._line.content = words.suggestions_line(self._suggested, marking.progress, marking.error)
        self._marks.visible = marked = desk.display.looks.missing
        self._line.visible = selection is not None or tool.armed or marked or bool(desk.session.regions)
        self._select.label = "Cancel selecting" if tool.armed else "Select region"
        self._invert.disabled = selection is None or selection.region is None
        away = tool.client is not None and desk.flights.away(tool.client.client_id)
        flight = (BACK,) if away else () if tool.target is None else (ZOOM,)
        options = (*flight, CLEAR)
        self._box.visible = away or selection is not None
        if tuple(self._box.options) != options:
            self._box.options = options
        self._suggest.label = "Hide the marks" if desk.display.looks.missing else "What is blurred here?"
