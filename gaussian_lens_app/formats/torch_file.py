"""Tensors by name from a file of torch.save (.pt), read as data: nothing of it is unpickled or called.

Layout: a zip whose data.pkl describes a dictionary of tensors and whose data/KEY hold their numbers, one storage each
(torch/serialization.py, from version 1.6). The description is a program for pickle's machine; of its instructions only
those that build dictionaries, lists, tuples, text and numbers are followed, and of what it may call only three names
are known, by which torch says "a tensor". Everything else is refused.
"""

from __future__ import annotations

import pickletools
import struct
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np

from gaussian_lens_app.errors import BadFile

LONGEST_DESCRIPTION = 1 << 18
"""Bytes of data.pkl; every instruction may cost a hundred bytes of memory, and twelve tensors take two thousand."""
BFLOAT16 = "bfloat16"
TYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": BFLOAT16,
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
_TENSOR, _PARAMETER, _ORDERED = (
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "collections OrderedDict",
)
_BROKEN = (ValueError, IndexError, KeyError, TypeError, OverflowError, struct.error)


@dataclass(frozen=True)
class Stored:
    """Where a tensor's numbers lie."""

    type: str
    key: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """Offset and strides in values, not bytes."""

    def of(self, numbers: bytes) -> np.ndarray:
        """The tensor in its storage. ValueError where it reaches beyond."""
        if self.type == BFLOAT16:  # the upper half of a float32
            values = (np.frombuffer(numbers, "<u2").astype("<u4") << 16).view("<f4")
        else:
            values = np.frombuffer(numbers, self.type)
        last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        if 0 in self.shape or min((self.offset, *self.strides)) < 0 or last >= len(values):
            raise ValueError("a tensor lies outside of its storage")
        strides = [step * values.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, strides, writeable=False)


@dataclass(frozen=True)
class _Name:
    """A thing that pickle would import."""

    name: str


@dataclass(frozen=True)
class _Storage:
    type: str
    key: str


_MARK = object()


def described(archive: zipfile.ZipFile, name: str) -> tuple[dict[str, Any], str]:
    """(what the file's dictionary holds: `Stored`, text, numbers or dictionaries of these, folder of the storages).

    BadFile when it is damaged, or more than that.
    """
    programs = [member for member in archive.namelist() if member.endswith("/data.pkl")]
    if len(programs) != 1:
        raise BadFile(f"{name} is no file of torch.save, or one of before torch 1.6: save a dict of tensors again.")
    if archive.getinfo(programs[0]).file_size > LONGEST_DESCRIPTION:
        raise BadFile(f"{name} describes far more than a scene's tensors: save a dict of them alone.")
    try:
        found = _Machine(name).run(archive.read(programs[0]))
    except _BROKEN as error:
        raise BadFile(f"{name} is damaged or not what its name says: its description is none of tensors.") from error
    if not isinstance(found, dict):
        raise BadFile(f"{name} holds a {type(found).__name__}, not tensors by name: save a dict of tensors.")
    return found, programs[0].removesuffix("data.pkl") + "data/"


class _Machine:
    """Follows the instructions that build plain values; a stack, and a memory of values that are used twice."""

    def __init__(self, name: str):
        self.name = name
        self.stack: list[Any] = []
        self.known: dict[int, Any] = {}

    def run(self, program: bytes) -> Any:
        for instruction, argument, _ in pickletools.genops(program):
            if instruction.name == "STOP":
                return self.stack.pop()
            self._step(instruction.name, argument)
        raise ValueError("it ends in the middle")

    def _step(self, what: str, argument: Any) -> None:
        stack = self.stack
        if what in _CONSTANTS:
            stack.append(_CONSTANTS[what]())
        elif what in _ARGUMENTS:
            stack.append(argument)
        elif what in ("BINPUT", "LONG_BINPUT"):
            self.known[argument] = stack[-1]
        elif what in ("BINGET", "LONG_BINGET"):
            stack.append(self.known[argument])
        elif what == "GLOBAL":
            stack.append(self._known_name(argument))
        elif what in ("TUPLE1", "TUPLE2", "TUPLE3"):
            stack.append(tuple(reversed([stack.pop() for _ in range(int(what[-1]))])))
        elif what == "TUPLE":
            stack.append(tuple(self._to_mark()))
        elif what in ("APPENDS", "APPEND"):
            values = self._to_mark() if what == "APPENDS" else [stack.pop()]
            _of(stack[-1], list).extend(values)
        elif what in ("SETITEMS", "SETITEM"):
            values = self._to_mark() if what == "SETITEMS" else list(reversed([stack.pop(), stack.pop()]))
            _of(stack[-1], dict).update(zip(values[::2], values[1::2], strict=True))
        elif what == "BINPERSID":
            stack.append(_storage(stack.pop()))
        elif what == "REDUCE":
            arguments, called = stack.pop(), stack.pop()
            stack.append(self._called(called, arguments))
        elif what != "PROTO":
            raise self._refusal()

    def _to_mark(self) -> list[Any]:
        at = next((i for i in range(len(self.stack) - 1, -1, -1) if self.stack[i] is _MARK), None)
        if at is None:
            raise ValueError("there is no mark")
        values = self.stack[at + 1 :]
        del self.stack[at:]
        return values

    def _known_name(self, name: str) -> _Name:
        if name in (_TENSOR, _PARAMETER, _ORDERED) or name.removeprefix("torch ") in TYPES:
            return _Name(name)
        raise self._refusal()

    def _called(self, called: Any, arguments: Any) -> Any:
        name = called.name if isinstance(called, _Name) else None
        if name == _ORDERED and arguments == ():
            return {}
        if name == _TENSOR:
            return _stored(*arguments[:4])
        if name == _PARAMETER:
            return _of(arguments[0], Stored)
        raise self._refusal()

    def _refusal(self) -> BadFile:
        return BadFile(f"{self.name} holds more than arrays, which is not safe to read: save a dict of tensors.")


_CONSTANTS = {
    "MARK": lambda: _MARK, "EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "NONE": lambda: None,
    "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
}  # fmt: skip
_ARGUMENTS = ("BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT")


def _storage(said: Any) -> _Storage:
    """Of ("storage", its class, key, device, values)."""
    word, kind, key = said[:3]
    if word != "storage":
        raise ValueError("no storage")
    return _Storage(TYPES[_of(kind, _Name).name.removeprefix("torch ")], _of(key, str))


def _stored(storage: Any, offset: Any, shape: Any, strides: Any) -> Stored:
    numbers = (offset, *_of(shape, tuple), *_of(strides, tuple))
    if len(shape) != len(strides) or not all(type(number) is int for number in numbers):
        raise ValueError("a tensor without a shape")
    storage = _of(storage, _Storage)
    return Stored(storage.type, storage.key, offset, shape, strides)


def _of(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"a {type(value).__name__} where a {kind.__name__} belongs")
    return value
