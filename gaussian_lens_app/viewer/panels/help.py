"""Keys, and where things are."""

from __future__ import annotations

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
| H | this page |
| W A S D, Q E | fly, down, up |
| arrows, drag | turn around |
| right drag, wheel | move sideways, nearer |
"""


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
