"""Colours and place of the panel."""

from __future__ import annotations

import viser

BRAND = (255, 176, 32)
BRAND_ON_LIGHT = (72, 39, 0)
"""Amber letters on white cannot be read. viser makes ten shades up to this one, and a light panel uses the seventh,
which is much lighter."""
PANEL_WIDTH = 360
"""Pixels: wide enough for every label, narrow enough for the picture."""


def set_theme(server: viser.ViserServer, dark: bool = True) -> None:
    """Dark or light, in every browser."""
    brand = BRAND if dark else BRAND_ON_LIGHT
    server.gui.configure_theme(dark_mode=dark, show_logo=False, show_share_button=False, brand_color=brand)


def place_panel(server: viser.ViserServer) -> None:
    """The panel at the right edge."""
    server.gui.set_panel_label("Gaussian lens")
    server.gui.main_panel.dock_right()
    server.gui.main_panel.set_width(PANEL_WIDTH)


def break_long_words(server: viser.ViserServer) -> None:
    """File names have no spaces: they go on in the next line instead of widening the panel (which viser has no word
    for). Called last, it adds nothing that shows."""
    server.gui.add_html("<style>p, li { overflow-wrap: anywhere; }</style>")
