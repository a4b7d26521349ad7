"""Where this program keeps things on its user's machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """For what this program can make again."""
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "gaussian_lens_app"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "gaussian_lens_app" / "cache"
    base = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return base / "gaussian_lens_app"
