"""Where splats come from: colour them, leave them out, take them away."""

from __future__ import annotations

import viser

from gaussian_lens_app.scene import Kind
from gaussian_lens_app.viewer import words
from gaussian_lens_app.viewer.desk import Desk

OPTIONAL = (Kind.FITTED, Kind.LEARNED, Kind.INVENTED)


class ProvenanceSection:
    """Of the scene as it is now."""

    def __init__(self, desk: Desk):
        self.desk = desk
        gui = desk.server.gui
        with gui.add_folder("Where splats come from", expand_by_default=False):
            self._counts = gui.add_markdown("")
            self._tint = gui.add_checkbox(
                "Colour them", False, hint="Fitted green, learned blue, invented pink. Key: V"
            )
            desk.on(self._tint.on_update, lambda _: desk.display.set(tint_kinds=self._tint.value))
            self._shown = {kind: gui.add_checkbox(f"Show {kind.label}", True) for kind in OPTIONAL}
            for box in self._shown.values():
                desk.on(box.on_update, lambda _: self._filter())
            self._kind = gui.add_dropdown("Kind", [kind.label for kind in reversed(OPTIONAL)])
            self._remove = gui.add_button("Remove these", icon=viser.Icon.TRASH, color="gray", hint="You can undo it.")
            desk.on(self._remove.on_click, self._remove_kind)

    def toggle_tint(self) -> None:
        self._tint.value = not self._tint.value
        self.desk.display.set(tint_kinds=self._tint.value)

    def _filter(self) -> None:
        hidden = frozenset(kind for kind, box in self._shown.items() if not box.value)
        self.desk.display.set(hidden_kinds=hidden)

    def _remove_kind(self, client: viser.ClientHandle | None) -> None:
        kind = Kind[str(self._kind.value).upper()]
        session = self.desk.session
        name = f"Removed {kind.label} splats"
        self.desk.attempt(lambda: session.delete_splats(lambda now: now.rows.kinds == kind, name), client)

    def refresh(self) -> None:
        kinds = self.desk.session.edited.rows.kinds
        counts = {kind: int((kinds == kind).sum()) for kind in Kind}
        self._counts.content = words.kinds_line(counts)
        for kind, box in self._shown.items():
            box.visible = counts[kind] > 0 or not box.value  # who left them out must be able to show them again
        there = [kind.label for kind in reversed(OPTIONAL) if counts[kind]]
        self._kind.visible = self._remove.visible = bool(there)
        if there and list(self._kind.options) != there:
            self._kind.options = there
