"""Files that leave through the browser or are named by it."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from gaussian_lens_app.session import ExportSettings, Session

LARGEST_DOWNLOAD = 500_000_000
"""Bytes; a browser keeps a download in memory until it is whole."""


def download_name(scene_name: str) -> str:
    """Name of the edited scene's file."""
    return f"{Path(scene_name).stem or 'scene'}_edited.ply"


def safe_name(typed: str, default: str) -> str:
    """A file name without folders, hidden names or control characters, whatever was typed."""
    last = re.split(r"[/\\]", typed)[-1]
    kept = re.sub(r"[^\w .()+-]", "_", last).strip(" .")[:120]
    if not kept:
        return default
    return kept if Path(kept).suffix else f"{kept}{Path(default).suffix}"


def as_bytes(session: Session, name: str, settings: ExportSettings) -> bytes:
    """What an export would write."""
    with tempfile.TemporaryDirectory() as folder:
        return session.export(Path(folder) / name, settings).read_bytes()
