"""SOG version 2: a scene as lossless WebP pictures and codebooks, in a zip (.sog) or as a folder with meta.json.

Layout: "The SOG Format" in PlayCanvas's user manual (Gaussian Splatting, Formats). Pixel i of each picture belongs to
Gaussian i: positions 2 x 8 bits of sign(x) ln(|x| + 1) within the scene's bounds, scales and base colours as indices
into 256 values, rotations as the smallest three, higher harmonics as an index into a palette. The axes are
those of the PLY.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gaussian_lens_app.errors import BadFile, FileError, UnknownFormat
from gaussian_lens_app.formats.json_file import is_number
from gaussian_lens_app.formats.limits import GROWTH, SPARE, read_bytes, refuse_bombs
from gaussian_lens_app.formats.packing import Arrays, blocks, from_smallest_three, logit, new_arrays, scene_file
from gaussian_lens_app.formats.values import SceneFile

NAME = "SOG"
META = "meta.json"
FIRST_TAG = 252
"""The alpha of a rotation's pixel is this plus the index of the largest component, wxyz."""
PALETTE_COLUMNS = 64
_LONGEST_META = 4 << 20
_MOST_PARTS = 64
_LARGEST = 1e38
"""Larger numbers are no float32; the Gaussians that use them are dropped later."""


class _Parts:
    """The files of a scene by name: members of a zip, or of a folder; nothing outside of it."""

    def __init__(self, path: Path):
        self.name = path.name if path.name != META else path.resolve().parent.name
        self.folder = path if path.is_dir() else path.parent if path.name == META else None
        self.archive = None if self.folder else self._open(path)
        # What lies on the disk: what a zip's members unpack to is as easily claimed as a count.
        self.held = path.stat().st_size if self.archive else sum(self.size(part) for part in self._names())

    def read(self, part: Any, most: int) -> bytes:
        """One file's bytes; a name that leads elsewhere is refused, and so is one of more than `most` bytes."""
        if not isinstance(part, str) or not part or part != Path(part).name or "\\" in part or "\0" in part:
            raise BadFile(f"{self.name} names the file {str(part)[:60]!r}, which is not beside its meta.json: refused.")
        if part not in self._names():
            raise BadFile(f"{self.name} lacks the file {part}: it is incomplete, get a fresh copy.")
        if self.size(part) > most:
            raise BadFile(
                f"{self.name} has a file {part} of {self.size(part)} bytes, more than belongs there: refused."
            )
        if self.folder:
            return read_bytes(self.folder / part)
        assert self.archive
        try:
            with self.archive.open(part) as member:
                data = member.read(most + 1)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError) as error:
            raise BadFile(f"{self.name} has a damaged file {part} ({str(error)[:80]}): get a fresh copy.") from error
        if len(data) > most:
            raise BadFile(f"{self.name} has a file {part} that unpacks to more than it states: refused.")
        return data

    def size(self, part: str) -> int:
        if self.folder:
            return (self.folder / part).stat().st_size
        assert self.archive
        return self.archive.getinfo(part).file_size

    def close(self) -> None:
        if self.archive:
            self.archive.close()

    def _names(self) -> list[str]:
        if self.folder:
            return [p.name for p in self.folder.iterdir() if p.is_file() and not p.is_symlink()][: 16 * _MOST_PARTS]
        assert self.archive
        return self.archive.namelist()

    def _open(self, path: Path) -> zipfile.ZipFile:
        try:
            archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as error:
            raise BadFile(f"{path.name} is no SOG file: it is no zip, or a damaged one ({str(error)[:80]}).") from error
        infos = archive.infolist()
        packed, plain = path.stat().st_size, sum(info.file_size for info in infos)
        if len(infos) > _MOST_PARTS or plain > GROWTH * packed + _LONGEST_META:
            archive.close()
            raise BadFile(f"{path.name} unpacks to {len(infos)} files of {plain} bytes: no SOG does, refused.")
        return archive


def load_sog(path: Path) -> SceneFile:
    """The Gaussians of a bundle, of a folder, or of the meta.json in it."""
    try:
        parts = _Parts(path)
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}.") from error
    try:
        meta = _meta(parts)
        count, degree = _integer(meta, "count", parts.name), _degree(meta, parts.name)
        refuse_bombs(parts.name, parts.held, count, degree)
        out = new_arrays(count, degree)
        _read_means(parts, meta, out)
        _read_quats(parts, meta, out)
        _read_scales(parts, meta, out)
        _read_colors(parts, meta, out)
        if degree:
            _read_palette(parts, meta, out)
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}.") from error
    finally:
        parts.close()
    return scene_file(out.gaussians(), path, NAME)


def is_sog_folder(path: Path) -> bool:
    """Whether a folder holds a scene's meta.json."""
    try:
        with open(path / META, "rb") as file:
            return b'"means"' in file.read(_LONGEST_META)
    except (OSError, ValueError):
        return False


def files_of(path: Path) -> list[Path]:
    """meta.json and the files beside it that it names, of a scene given by its folder or its meta.json."""
    folder = path if path.is_dir() else path.parent
    names = {name for name in part_names(json.loads((folder / META).read_bytes())) if name == Path(name).name}
    return [folder / META, *(folder / name for name in sorted(names) if (folder / name).is_file())]


def looks(head: bytes) -> bool:
    """Whether a file's first bytes are a zip's, or a meta.json's."""
    return head.startswith(b"PK\x03\x04") or (head.lstrip()[:1] == b"{" and b'"means"' in head and b'"mins"' in head)


def unlog(values: np.ndarray) -> np.ndarray:
    """The inverse of sign(x) ln(|x| + 1)."""
    return np.sign(values) * np.expm1(np.abs(values))


def _meta(parts: _Parts) -> dict:
    try:
        meta = json.loads(parts.read(META, _LONGEST_META))
    except (ValueError, RecursionError) as error:
        raise BadFile(f"{parts.name} has a meta.json that is no JSON: it is damaged.") from error
    if not isinstance(meta, dict) or "means" not in meta:
        raise BadFile(f"{parts.name} has a meta.json that describes no Gaussians: it is no SOG, or damaged.")
    if meta.get("version") != 2:
        raise UnknownFormat(
            f"{parts.name} is SOG version {meta.get('version', 1)}: only version 2 is read, convert it."
        )
    return meta


def _degree(meta: dict, name: str) -> int:
    if "shN" not in meta or meta["shN"] is None:
        return 0
    bands = _integer(_section(meta, "shN", name), "bands", name)
    if bands > 3:
        raise BadFile(f"{name} states {bands} SH bands where 0 to 3 are possible: it is damaged.")
    return bands


def _read_means(parts: _Parts, meta: dict, out: Arrays) -> None:
    section = _section(meta, "means", parts.name)
    low, high = (_numbers(section, key, 3, parts.name) for key in ("mins", "maxs"))
    lower, upper = (_picture(parts, section, i, len(out.means)) for i in (0, 1))
    for block in blocks(len(out.means)):
        whole = lower[block, :3].astype(np.uint16) | upper[block, :3].astype(np.uint16) << 8
        with np.errstate(over="ignore", invalid="ignore"):  # infinite positions are dropped later
            out.means[block] = unlog(low + (high - low) * (whole / 65535))


def _read_quats(parts: _Parts, meta: dict, out: Arrays) -> None:
    pixels = _picture(parts, _section(meta, "quats", parts.name), 0, len(out.quats))
    for block in blocks(len(pixels)):
        which = pixels[block, 3].astype(np.intp) - FIRST_TAG
        rest = (pixels[block, :3] / 255 * 2 - 1) * np.sqrt(0.5)
        quats = from_smallest_three(np.maximum(which, 0), rest)
        out.quats[block] = np.where(which[:, None] < 0, [1.0, 0, 0, 0], quats)


def _read_scales(parts: _Parts, meta: dict, out: Arrays) -> None:
    section = _section(meta, "scales", parts.name)
    codebook = _numbers(section, "codebook", 256, parts.name).astype(np.float32)
    out.log_scales[:] = codebook[_picture(parts, section, 0, len(out.log_scales))[:, :3]]


def _read_colors(parts: _Parts, meta: dict, out: Arrays) -> None:
    section = _section(meta, "sh0", parts.name)
    codebook = _numbers(section, "codebook", 256, parts.name).astype(np.float32)
    pixels = _picture(parts, section, 0, len(out.sh0))
    out.sh0[:, 0] = codebook[pixels[:, :3]]
    out.logit_opacities[:] = logit(np.arange(256) / 255).astype(np.float32)[pixels[:, 3]]


def _read_palette(parts: _Parts, meta: dict, out: Arrays) -> None:
    section, bands = _section(meta, "shN", parts.name), out.shN.shape[1]
    entries = _integer(section, "count", parts.name)
    codebook = _numbers(section, "codebook", 256, parts.name).astype(np.float32)
    labels = _picture(parts, section, 1, len(out.shN))
    rows = -(-entries // PALETTE_COLUMNS)
    width = PALETTE_COLUMNS * bands
    if not 0 < entries <= 1 << 16:
        raise BadFile(f"{parts.name} states a palette of {entries} colours: it is damaged.")
    palette = _picture(parts, section, 0, rows * width, width)[:, :3].reshape(-1, bands, 3)
    for block in blocks(len(labels)):
        label = labels[block, 0].astype(np.intp) | labels[block, 1].astype(np.intp) << 8
        if (label >= entries).any():
            raise BadFile(f"{parts.name} has labels beyond its palette of {entries}: it is damaged.")
        out.shN[block] = codebook[palette[label]]


def _picture(parts: _Parts, section: dict, index: int, count: int, width: int | None = None) -> np.ndarray:
    """(pixels, 4) uint8, at least `count` of them; sizes are checked before the picture is unpacked."""
    files = section.get("files")
    if not isinstance(files, list) or len(files) <= index:
        raise BadFile(f"{parts.name} has a meta.json that names too few files: it is damaged.")
    data = parts.read(files[index], 8 * count + (1 << 20))
    try:
        with Image.open(io.BytesIO(data), formats=("WEBP", "PNG")) as image:
            pixels = image.width * image.height
            if pixels < count or (width and image.width != width):
                raise BadFile(f"{parts.name} has a picture {files[index]} of {image.size} for {count} values: damaged.")
            if pixels > 4 * count + (SPARE >> 6):
                raise BadFile(f"{parts.name} has a picture {files[index]} of {image.size} for {count} values: refused.")
            return np.asarray(image.convert("RGBA")).reshape(-1, 4)[:count]
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise BadFile(
            f"{parts.name} has a damaged picture {files[index]} ({str(error)[:80]}): get a fresh copy."
        ) from error


def _section(meta: dict, key: str, name: str) -> dict:
    section = meta.get(key)
    if not isinstance(section, dict):
        raise BadFile(f"{name} has a meta.json without {key}: it is damaged.")
    return section


def _integer(section: dict, key: str, name: str) -> int:
    value = section.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 31:
        raise BadFile(f"{name} has a meta.json whose {key} is {str(value)[:40]!r}: it is damaged.")
    return value


def _numbers(section: dict, key: str, count: int, name: str) -> np.ndarray:
    values = section.get(key)
    if not isinstance(values, list) or len(values) != count or not all(map(is_number, values)):
        raise BadFile(f"{name} has a meta.json whose {key} is no list of {count} numbers: it is damaged.")
    return np.clip(np.array(values, np.float64), -_LARGEST, _LARGEST)


def part_names(meta: dict) -> Iterator[str]:
    """The files that a meta.json names."""
    for section in meta.values():
        if isinstance(section, dict) and isinstance(section.get("files"), list):
            yield from (name for name in section["files"] if isinstance(name, str))
