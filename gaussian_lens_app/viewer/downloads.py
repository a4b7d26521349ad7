"""The edited scene as bytes for the browser."""

from __future__ import annotations

import tempfile
from pathlib import Path

from gaussian_lens_app.session import Session


def download_name(scene_name: str) -> str:
    """Name of the edited scene's file."""
    return f"{Path(scene_name).stem or 'scene'}_edited.ply"


def as_bytes(session: Session) -> bytes:
    """What an export would write."""
    with tempfile.TemporaryDirectory() as folder:
        return session.export(Path(folder) / download_name(session.name)).read_bytes()
