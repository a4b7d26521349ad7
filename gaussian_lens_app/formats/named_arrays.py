"""Arrays by name from .npz, .pt and .safetensors: shapes are known before anything is unpacked, nothing is unpickled.

A zip's members are read only when asked for, and only where all it claims is within what its size allows
(`limits.py`).
"""

from __future__ import annotations

import contextlib
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from gaussian_lens_app.errors import BadFile, FileError
from gaussian_lens_app.formats.limits import GROWTH, SPARE
from gaussian_lens_app.formats.torch_file import Stored, described
from gaussian_lens_app.scene.memory import memory_ran_out

MOST_MEMBERS = 1000
LONGEST_WORD = 100
_ZIP = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError, ValueError)
_HEADER = (ValueError, SyntaxError, TypeError, RecursionError, MemoryError, OverflowError, tokenize.TokenError)


@dataclass(frozen=True)
class Named:
    """An array that has not been read yet."""

    shape: tuple[int, ...]
    read: Callable[[], Tensor]
    """float32 in row-major order, whatever it is in the file. Raises BadFile."""

    @property
    def size(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True)
class Contents:
    """What a file holds by name."""

    arrays: dict[str, Named] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    """Short texts."""


@contextlib.contextmanager
def open_arrays(path: Path) -> Iterator[Contents]:
    """The arrays, which can be read until the block ends. FileError or BadFile with a sentence."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                yield _of_safetensors(file, path.name)
            return
        with zipfile.ZipFile(path) as archive:
            _refuse_bomb(archive, path)
            is_torch = any(member.endswith("/data.pkl") for member in archive.namelist())
            if is_torch and suffix == ".npz":
                raise BadFile(f"{path.name} holds torch's tensors, not numpy's arrays: rename it to end in .pt.")
            if not is_torch and suffix != ".npz" and any(name.endswith(".npy") for name in archive.namelist()):
                raise BadFile(f"{path.name} holds numpy's arrays, not torch's tensors: rename it to end in .npz.")
            yield _of_npz(archive, path.name) if suffix == ".npz" else _of_torch(archive, path.name)
    except (SafetensorError, *_ZIP) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise FileError(f"{path} cannot be read: {error.strerror}.") from error
        if memory_ran_out(error):
            raise
        raise _damaged(path.name, error) from error


def _damaged(name: str, error: BaseException) -> BadFile:
    why = " ".join(str(error).split())[:100] or type(error).__name__
    return BadFile(f"{name} is damaged or not what its name says ({why}).")


def _refuse_bomb(archive: zipfile.ZipFile, path: Path) -> None:
    members = archive.infolist()
    held, plain = path.stat().st_size, sum(member.file_size for member in members)
    if len(members) > MOST_MEMBERS or plain > GROWTH * held + SPARE:
        raise BadFile(f"{path.name} unpacks to {len(members)} files of {plain} bytes: no scene does, refused.")
    for member in members:  # zipfile sets aside what a member claims before it looks at the file
        stored = member.compress_type == zipfile.ZIP_STORED
        if member.compress_size > held or (stored and member.file_size != member.compress_size):
            raise BadFile(f"{path.name} is damaged: its file {member.filename[:40]!r} claims more than there is.")


# ---- numpy


def _of_npz(archive: zipfile.ZipFile, name: str) -> Contents:
    found = Contents()
    for member in archive.namelist():
        key = member.removesuffix(".npy")
        if key == member:
            continue
        with archive.open(member) as file:
            shape, _, dtype = _npy_header(file, name)
        if dtype.kind in "US" and prod(shape) == 1 and dtype.itemsize <= 4 * LONGEST_WORD:
            found.words[key] = _word(_npy_values(archive, member, name))
        elif dtype.kind in "fiub":
            found.arrays[key] = Named(shape, partial(_npy, archive, member, name))
    return found


def _npy_header(file: Any, name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """(shape, whether columns come first, type) as an .npy states them."""
    try:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version[0]}.{version[1]} of .npy")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except _HEADER as error:
        raise _damaged(name, error) from error
    if dtype.hasobject or dtype.fields is not None:
        raise BadFile(f"{name} holds more than arrays, which is not safe to read: save plain arrays.")
    if not all(type(side) is int and side >= 0 for side in shape):
        raise BadFile(f"{name} is damaged: an array of shape {str(shape)[:60]}.")
    return shape, fortran, dtype


def _npy(archive: zipfile.ZipFile, member: str, name: str) -> Tensor:
    return _as_float32(_npy_values(archive, member, name))


def _npy_values(archive: zipfile.ZipFile, member: str, name: str) -> np.ndarray:
    with archive.open(member) as file:
        shape, fortran, dtype = _npy_header(file, name)
        size = prod(shape) * dtype.itemsize
        if size > archive.getinfo(member).file_size:
            raise BadFile(f"{name} is truncated: its array {member[:40]} promises {size} bytes and holds fewer.")
        data = file.read(size)
    if len(data) < size or not size:
        raise BadFile(f"{name} is truncated: its array {member[:40]} promises {size} bytes and holds fewer.")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def _word(value: np.ndarray) -> str:
    """Plain letters; numpy's own way ends in a SystemError where numbers are no letters at all."""
    wide = value.dtype.newbyteorder("=").kind == "U"
    codes = value.reshape(-1).view(f"{value.dtype.byteorder}u4" if wide else "u1")
    return "".join(chr(code) if 32 <= code < 127 else "?" for code in codes.tolist() if code)


# ---- torch


def _of_torch(archive: zipfile.ZipFile, name: str) -> Contents:
    values, folder = described(archive, name)
    inner = values.get("gaussians")
    if isinstance(inner, dict):
        values = {**values, **inner}
    found = Contents()
    for key, value in values.items():
        if isinstance(key, str) and isinstance(value, Stored):
            found.arrays[key] = Named(value.shape, partial(_tensor, archive, folder, value, name))
        elif isinstance(key, str) and isinstance(value, str) and len(value) <= LONGEST_WORD:
            found.words[key] = value
    return found


def _tensor(archive: zipfile.ZipFile, folder: str, stored: Stored, name: str) -> Tensor:
    try:
        order = archive.read(f"{folder.removesuffix('data/')}byteorder")
    except KeyError:
        order = b"little"  # the file is younger than the format
    if order.strip() != b"little":
        raise BadFile(f"{name} was saved on a machine of another byte order: save it as .safetensors.")
    try:
        return _as_float32(stored.of(archive.read(folder + stored.key)))
    except (KeyError, ValueError) as error:
        raise _damaged(name, error) from error


# ---- safetensors


def _of_safetensors(file: Any, name: str) -> Contents:
    found = Contents()
    words = file.metadata() or {}
    found.words.update({key: value for key, value in words.items() if len(value) <= LONGEST_WORD})
    for key in file.keys():  # noqa: SIM118  not a dictionary
        shape = tuple(file.get_slice(key).get_shape())
        found.arrays[key] = Named(shape, partial(_safe, file, key, name))
    return found


def _safe(file: Any, key: str, name: str) -> Tensor:
    try:
        return file.get_tensor(key).float().contiguous()
    except (SafetensorError, AttributeError, TypeError, ValueError, NotImplementedError) as error:
        raise _damaged(name, error) from error


def _as_float32(values: np.ndarray) -> Tensor:
    with np.errstate(over="ignore"):  # what is no float32 becomes infinite and is dropped later
        return torch.from_numpy(np.array(values, np.float32, order="C"))
