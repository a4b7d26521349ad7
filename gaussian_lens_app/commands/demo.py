"""Where the demo is."""

from __future__ import annotations

import sys
from pathlib import Path

from gaussian_lens_app.errors import FileError

CHECKOUT = Path(__file__).parents[2] / "assets" / "demo"
INSTALLED = Path(sys.prefix) / "share" / "gaussian_lens_app" / "demo"
"""Where `pip install` puts it (pyproject.toml, data-files)."""
DEMO_PHOTO = "DSC_0437"
"""The demo starts there: its sticker is in the middle and near."""


def demo_folder() -> Path:
    """The folder with the demo's scene.ply, photos and cameras."""
    for folder in (CHECKOUT, INSTALLED):
        if (folder / "scene.ply").is_file():
            return folder
    raise FileError(
        f"The demo is not there (looked in {CHECKOUT} and {INSTALLED}): open a scene of your own, "
        "gsr-view scene.ply --capture photos/."
    )
