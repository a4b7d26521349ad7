"""Which code reads and writes which scene format; a new format is a new line in FORMATS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gaussian_lens_app.errors import BadFile, FileError, UnknownFormat
from gaussian_lens_app.formats.ply import load_ply, save_ply
from gaussian_lens_app.formats.values import Layout, SceneFile
from gaussian_lens_app.scene import Gaussians

Saver = Callable[[Path, Gaussians, Layout | None, np.ndarray, Sequence[str]], None]


@dataclass(frozen=True)
class Format:
    """A scene format; `magic` are the first bytes of its files, empty where it has none."""

    name: str
    suffix: str
    magic: bytes
    load: Callable[[Path], SceneFile]
    save: Saver | None = None


FORMATS: tuple[Format, ...] = (Format("INRIA PLY", ".ply", b"ply", load_ply, save_ply),)


def load(path: str | Path) -> SceneFile:
    """The scene in a file. Raises FileError, UnknownFormat or BadFile with one sentence."""
    path = Path(path)
    return reader_for(path).load(path)


def save(
    path: str | Path,
    gaussians: Gaussians,
    like: SceneFile | None = None,
    sources: Tensor | None = None,
    comments: Sequence[str] = (),
) -> None:
    """Write a scene atomically, in the way of `like` (byte order, property order, types, extras, comments).

    `sources` (M,) int64 names each row's row in `like.gaussians`, -1 for a new one: there the extra properties come
    from, and the exact bits of values that have not changed. None: row i is row i of `like` if the counts are equal,
    else all are new. Raises ExportError; what stood at `path` before then still stands.
    """
    path = Path(path)
    writers = [format for format in FORMATS if format.save and path.suffix.lower() == format.suffix]
    if not writers:
        known = ", ".join(format.suffix for format in FORMATS if format.save)
        raise UnknownFormat(f"Cannot write {path.name!r}: give a name that ends in {known}.")
    assert writers[0].save is not None
    rows = _checked_sources(len(gaussians), like, sources)
    writers[0].save(path, gaussians, like.layout if like else None, rows, comments)


def reader_for(path: Path) -> Format:
    """The format by suffix, else by first bytes."""
    if path.is_dir():
        raise FileError(f"{path} is a folder: give the scene file itself{_suggestion(path)}.")
    try:
        with open(path, "rb") as file:
            head = file.read(64)
    except FileNotFoundError as error:
        raise FileError(f"{path} does not exist: check the spelling.") from error
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not head:
        raise BadFile(f"{path.name} is empty: get a fresh copy.")
    by_suffix = [format for format in FORMATS if path.suffix.lower() == format.suffix]
    by_magic = [format for format in FORMATS if format.magic and head.startswith(format.magic)]
    if not by_suffix and not by_magic:
        known = ", ".join(f"{format.name} ({format.suffix})" for format in FORMATS)
        raise UnknownFormat(f"{path.name} is in no known format: {known} can be read.")
    return (by_suffix or by_magic)[0]


def _suggestion(folder: Path) -> str:
    """A scene inside a folder that was given instead, the newest iteration of a training run first."""
    found = [*folder.glob("*.ply"), *folder.glob("point_cloud/iteration_*/*.ply")]
    newest = max(found, key=lambda path: (len(path.parent.name), path.parent.name), default=None)
    return f", for example {newest}" if newest else ""


def _checked_sources(count: int, like: SceneFile | None, sources: Tensor | None) -> np.ndarray:
    if like is None or (sources is None and count != len(like.gaussians)):
        return np.full(count, -1)
    rows = torch.arange(count) if sources is None else sources.detach().cpu()
    if rows.shape != (count,) or (count and int(rows.max()) >= len(like.gaussians)):
        raise ValueError(f"sources must be {count} rows of a scene of {len(like.gaussians)} Gaussians")
    return rows.numpy()
