"""Which code reads and writes which scene format; a new format is a new line in FORMATS."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gaussian_lens_app.errors import BadFile, ExportError, FileError, UnknownFormat
from gaussian_lens_app.formats import (
    compressed_ply,
    feed_forward,
    gltf,
    ksplat,
    ply,
    sog,
    sog_write,
    splat,
    spz,
    spz_write,
)
from gaussian_lens_app.formats.values import Finding, SceneFile
from gaussian_lens_app.scene import Gaussians
from gaussian_lens_app.scene.memory import memory_ran_out

Saver = Callable[..., None]
"""(path, Gaussians, Layout | None, sources, comments, and the format's own options)"""
_HEAD = 8192


def _nothing(gaussians: Gaussians) -> Iterator[Finding]:
    return iter(())


def _unknown(head: bytes) -> bool:
    return False


@dataclass(frozen=True)
class Format:
    """A scene format. `looks` tells it by the first bytes of a file, where its files have a mark of their own."""

    name: str
    suffixes: tuple[str, ...]
    looks: Callable[[bytes], bool]
    load: Callable[[Path], SceneFile]
    save: Saver | None = None
    loss: Callable[[Gaussians], Iterator[Finding]] = _nothing
    """What a scene loses when it is written."""
    degree: int = 4
    """Highest SH degree that can be written."""

    def named(self, path: Path) -> bool:
        return path.name.lower().endswith(self.suffixes)


def _is_ply(head: bytes) -> bool:
    return head.startswith((b"ply\n", b"ply\r"))


def _is_compressed_ply(head: bytes) -> bool:
    return _is_ply(head) and b"packed_position" in head


FORMATS: tuple[Format, ...] = (
    Format(
        *(compressed_ply.NAME, (".compressed.ply",), _is_compressed_ply, ply.load_ply),
        *(compressed_ply.save_compressed, compressed_ply.loss, 3),
    ),
    Format(ply.NAME, (".ply",), _is_ply, ply.load_ply, ply.save_ply),
    Format(splat.NAME, (".splat",), _unknown, splat.load_splat, splat.save_splat, splat.loss, 0),
    Format(spz.NAME, (".spz",), spz.looks, spz.load_spz, spz_write.save_spz, spz_write.loss),
    Format(sog.NAME, (".sog", sog.META), sog.looks, sog.load_sog, sog_write.save_sog, sog_write.loss, 3),
    Format(gltf.NAME, (".glb", ".gltf"), gltf.looks, gltf.load_gltf),
    Format(ksplat.NAME, (".ksplat",), _unknown, ksplat.load_ksplat),
    Format(feed_forward.NAME, feed_forward.SUFFIXES, feed_forward.looks, feed_forward.load_feed_forward),
)


def load(path: str | Path) -> SceneFile:
    """The scene in a file. Raises FileError, UnknownFormat or BadFile with one sentence."""
    path = Path(path)
    format = reader_for(path)
    try:
        with np.errstate(all="ignore"):  # what comes of odd numbers is dropped, and counted
            return format.load(path)
    except (MemoryError, RuntimeError) as error:
        if not memory_ran_out(error):
            raise
        raise FileError(f"{path.name} is too large for this machine's memory: close other programs.") from error


def save(
    path: str | Path,
    gaussians: Gaussians,
    like: SceneFile | None = None,
    sources: Tensor | None = None,
    comments: Sequence[str] = (),
    version: int | None = None,
) -> None:
    """Write a scene atomically, in the way of `like` (byte order, property order, types, extras, comments).

    `sources` (M,) int64 names each row's row in `like.gaussians`, -1 for a new one: there the extra properties come
    from, and the exact bits of values that have not changed. None: row i is row i of `like` if the counts are equal,
    else all are new. `version` is for SPZ: 2, 3 or 4. Raises ExportError; what stood at `path` before
    then still stands.
    """
    path = Path(path)
    format = writer_for(path)
    assert format.save is not None
    rows = _checked_sources(len(gaussians), like, sources)
    options = {"version": version} if version is not None and format.name == spz.NAME else {}
    try:
        format.save(path, gaussians, like.layout if like else None, rows, comments, **options)
    except (MemoryError, RuntimeError) as error:
        if not memory_ran_out(error):
            raise
        raise ExportError(
            f"{path} was not written: memory ran out. Whatever stood there before is unchanged; close other programs."
        ) from error


def losses(path: str | Path, gaussians: Gaussians) -> tuple[str, ...]:
    """Sentences on what a scene loses in the format of that name; none for formats that keep everything."""
    format = writer_for(Path(path))
    found = [finding.sentence for finding in format.loss(gaussians)]
    if gaussians.sh_degree > format.degree:
        found.append(f"Spherical harmonics of degree {gaussians.sh_degree} are cut to degree {format.degree}")
    return tuple(f"{format.name}: {sentence}." for sentence in found)


def degree_in(path: str | Path) -> int:
    """The highest SH degree that the format of that name keeps."""
    return writer_for(Path(path)).degree


def writer_for(path: Path) -> Format:
    """The format by suffix. Raises UnknownFormat."""
    found = next((format for format in FORMATS if format.save and format.named(path)), None)
    if found:
        return found
    if reader := next((format for format in FORMATS if format.named(path)), None):
        raise UnknownFormat(f"Cannot write {path.name!r}: {reader.name} is only read; {_writable()} can be written.")
    raise UnknownFormat(f"Cannot write {path.name!r}: give a name that ends in {_writable()}.")


def reader_for(path: Path) -> Format:
    """The format by suffix and first bytes, which must not contradict each other."""
    if sog.is_sog_folder(path):
        return next(format for format in FORMATS if format.name == sog.NAME)
    head = _head(path)
    by_suffix = [format for format in FORMATS if format.named(path)]
    by_content = [format for format in FORMATS if format.looks(head)]
    if not by_suffix and not by_content:
        known = ", ".join(f"{format.name} ({format.suffixes[0]})" for format in FORMATS)
        raise UnknownFormat(f"{path.name} is in no known format: {known} can be read.")
    if by_suffix and by_suffix[0] in by_content:
        return by_suffix[0]
    if by_suffix and by_content and by_suffix[0].load is not by_content[0].load:
        found = by_content[0]
        raise BadFile(
            f"{path.name} is named like a {by_suffix[0].name} file, but its content is {found.name}: the content is "
            f"what counts, so rename it to end in {found.suffixes[0]}."
        )
    return (by_content or by_suffix)[0]


def _head(path: Path) -> bytes:
    """A file's first bytes."""
    try:
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            raise FileError(f"{path} is a folder: give the scene file itself{_suggestion(path)}.")
        if not stat.S_ISREG(kind):
            raise FileError(f"{path} is no file but a device or a pipe: give a scene file.")
        with open(path, "rb") as file:
            head = file.read(_HEAD)
    except FileNotFoundError as error:
        raise FileError(f"{path} does not exist: check the spelling.") from error
    except (OSError, ValueError) as error:
        raise FileError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if not head:
        raise BadFile(f"{path.name} is empty: get a fresh copy.")
    return head


def _writable() -> str:
    """Suffixes, without the one name that stands for a folder of pictures."""
    suffixes = (suffix for format in FORMATS if format.save for suffix in format.suffixes)
    return ", ".join(suffix for suffix in suffixes if suffix.startswith("."))


def _suggestion(folder: Path) -> str:
    """A scene inside a folder that was given instead, the newest iteration of a training run first."""
    found = [*folder.glob("*.ply"), *folder.glob("point_cloud/iteration_*/*.ply")]
    newest = max(found, key=lambda path: (len(path.parent.name), path.parent.name), default=None)
    return f", for example {newest}" if newest else ""


def _checked_sources(count: int, like: SceneFile | None, sources: Tensor | None) -> np.ndarray:
    if like is None or like.layout is None or (sources is None and count != len(like.gaussians)):
        return np.full(count, -1)
    rows = torch.arange(count) if sources is None else sources.detach().cpu()
    if rows.shape != (count,) or (count and int(rows.max()) >= len(like.gaussians)):
        raise ValueError(f"sources must be {count} rows of a scene of {len(like.gaussians)} Gaussians")
    return rows.numpy()
