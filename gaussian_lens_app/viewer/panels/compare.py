"""3 · Compare: before and after, back and forth."""

from __future__ import annotations

import torch
import viser

from gaussian_lens_app.session import SceneChanged
from gaussian_lens_app.viewer.desk import Desk


class CompareSection:
    """The switches between before and after."""

    def __init__(self, desk: Desk):
        self.desk = desk
        gui = desk.server.gui
        with gui.add_folder("3 · Compare"):
            self._before = gui.add_button(
                "Show before",
                icon=viser.Icon.EYE,
                color="gray",
                disabled=True,
                hint="Without upgrades. Key: C",
            )
            desk.on(self._before.on_click, self.toggle_before)
            self._split_on = gui.add_checkbox(
                "Split", False, disabled=True, hint="Before on the left, after on the right. Key: X"
            )
            desk.on(self._split_on.on_update, lambda client: self._set_split() if client else None)
            self._split = gui.add_slider("Position", 0.02, 0.98, 0.01, 0.5, visible=False)
            desk.on(self._split.on_update, lambda client: self._set_split() if client else None)

    def toggle_before(self, client: viser.ClientHandle | None) -> None:
        """The scene without upgrades (mended and readied for close views, where it was), or as it is."""
        before = not self.desk.display.looks.before
        if before and self._nothing_to_compare(client):
            return
        self.desk.display.set(before=before, split=None)
        self._split_on.value = self._split.visible = False
        self.refresh()

    def toggle_split(self, client: viser.ClientHandle | None) -> None:
        if self._split_on.value or not self._nothing_to_compare(client):
            self._split_on.value = not self._split_on.value
            self._set_split()

    def _nothing_to_compare(self, client: viser.ClientHandle | None) -> bool:
        """Whether before and after are the same; whoever asked is told."""
        if self._same:
            self.desk.tell(client, "Nothing to compare yet", "Before and after differ when something was upgraded.")
        return self._same

    @property
    def _same(self) -> bool:
        """By what is there: undo to the start makes another, equal scene."""
        session = self.desk.session
        return torch.equal(session.edited.ids, session.baseline.ids)

    def _set_split(self) -> None:
        on = self._split_on.value
        self._split.visible = on
        self.desk.display.set(split=float(self._split.value) if on else None, before=False)
        self.refresh()

    def scene_changed(self, event: SceneChanged) -> None:
        if self.desk.display.looks.before:
            self.desk.display.set(before=False)  # who changes the scene wants to see it

    def refresh(self) -> None:
        looks, same = self.desk.display.looks, self._same
        self._before.disabled = not looks.before and same
        self._split_on.disabled = not self._split_on.value and same
        self._before.label = "Show after" if looks.before else "Show before"
        self._before.color = "orange" if looks.before else "gray"
