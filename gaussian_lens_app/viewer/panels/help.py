"""Keys, and where things are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import viser

from gaussian_lens_app.viewer.desk import Desk

FIRST_RUN = (
    "**Box** what you care about: hold *Shift* and drag. "
    "**Upgrade** makes it sharp while you keep flying. "
    "**Compare** before and after with *C*. "
    "**Export** when you like it; *Undo* takes back anything."
)
"""Four sentences, shown until the first box."""

KEYS = """
| key | does |
|---|---|
| B | next drag is a box |
| Shift + drag | box |
| Z | fly to the box and back |
| C | before / after |
| X | split |
| N | next version of the region |
| P | photo over the picture |
| F | where photos were taken |
| V | colour splats by origin |
| M | bookmark this view |
| Ctrl + click | turn around this |
| Ctrl + Z, Ctrl + Shift + Z | undo, redo |
| H | these keys, and away again |
| escape | no box after all |
| W A S D, Q E | fly, down, up |
| arrows, drag | turn around |
| right drag, wheel | move sideways, nearer |
"""


if TYPE_CHECKING:
    from viser._gui_handles import GuiModalHandle


class KeysWindow:
    """The keys in a window of their own, for whoever asked; viser's windows close from here alone."""

    def __init__(self) -> None:
        self._open: dict[int, GuiModalHandle] = {}

    def toggle(self, client: viser.ClientHandle | None) -> None:
        if client is None or self.close(client):
            return
        with client.gui.add_modal("Keys") as window:
            client.gui.add_markdown(KEYS)
            client.gui.add_button("Close").on_click(lambda _: self._closed(client))
        self._open[client.client_id] = window

    def close(self, client: viser.ClientHandle | None) -> bool:
        """Whether there was one to close."""
        window = None if client is None else self._open.pop(client.client_id, None)
        if window is not None:
            window.close()
        return window is not None

    def _closed(self, client: viser.ClientHandle) -> None:
        self.close(client)

    def left(self, client: viser.ClientHandle) -> None:
        """The browser is gone, and its window with it."""
        self._open.pop(client.client_id, None)


class HelpPanel:
    """What the keys do."""

    def __init__(self, desk: Desk):
        gui = desk.server.gui
        gui.add_markdown(FIRST_RUN)
        gui.add_markdown(KEYS)
        gui.add_markdown(
            "The server draws and the browser shows, so what you see is what is exported. "
            "An upgrade is measured on a photo it was not made from, and swapped in only when it is better."
        )
