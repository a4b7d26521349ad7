"""Files that leave through the browser or are named by it."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from gaussian_lens_app.errors import ExportError
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


def scene_name(typed: str, default: str) -> str:
    """A safe name for one file that holds a scene. ExportError for a name that would make several."""
    name = safe_name(typed, default)
    if name.lower().endswith("meta.json"):
        raise ExportError(f"{name} would be one of several files: give a name that ends in .sog to have it in one.")
    return name


def free_file(folder: Path, name: str, own: Path | None = None) -> Path:
    """The first of name.ply, name_2.ply, ... that is not there. ExportError when the name is that of `own`.

    `own` is the file that was opened: a project refers to it, and a copy beside it under a number would confuse.
    """
    path = folder / name
    if own is not None and _same(path, own):
        raise ExportError(f"{name} is the scene that was opened, which stays as it is: choose another name.")
    stem, dot, endings = name.partition(".")
    number = 2
    while os.path.lexists(path):
        path, number = folder / f"{stem}_{number}{dot}{endings}", number + 1
    return path


def _same(path: Path, own: Path) -> bool:
    return path.resolve() == own.resolve() or (path.exists() and own.exists() and path.samefile(own))


def as_bytes(session: Session, name: str, settings: ExportSettings) -> bytes:
    """What an export would write. ExportError where that is more than a browser should keep."""
    with tempfile.TemporaryDirectory() as folder:
        return bytes_of(session.export(Path(folder) / name, settings), "press Export and fetch the file instead")


def bytes_of(path: Path, instead: str) -> bytes:
    """What a file holds. ExportError where it is gone, or more than a browser should keep: what to do `instead`."""
    try:
        if path.stat().st_size > LARGEST_DOWNLOAD:
            raise ExportError(f"That is too much for a browser's memory: {instead}.")
        return path.read_bytes()
    except OSError as error:
        raise ExportError(f"{path.name} cannot be read ({error.strerror}): {instead}.") from None
