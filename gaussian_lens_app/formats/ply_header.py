"""The header of a PLY file: which elements, which properties, which types.

Format: Greg Turk, "The PLY Polygon File Format" (1994). The reader is our own because the header is checked against the
file's size before anything is allocated, and because its lines are kept so that a file can be written back as it was.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import IO

import numpy as np

from gaussian_lens_app.errors import BadFile

_TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("int64", "long"), "i8"),  # not in the specification, but written by some programs
    **dict.fromkeys(("uint64", "ulong"), "u8"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}
_ORDERS = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}
_LONGEST = 1 << 20
"""No header is larger; a file without `end_header` is given up here."""


@dataclass(frozen=True)
class Property:
    name: str
    type: str
    """As the header spells it."""
    count_type: str | None = None
    """Type of a list's length; None for a scalar."""

    @property
    def code(self) -> str:
        """numpy's code without byte order, such as f4."""
        return _TYPES[self.type]

    def dtype(self, order: str) -> np.dtype:
        return np.dtype(order + self.code)


@dataclass(frozen=True)
class Element:
    name: str
    count: int
    properties: tuple[Property, ...] = ()

    @property
    def scalars(self) -> tuple[Property, ...]:
        return tuple(p for p in self.properties if p.count_type is None)

    @property
    def lists(self) -> tuple[Property, ...]:
        return tuple(p for p in self.properties if p.count_type is not None)

    def dtype(self, order: str) -> np.dtype:
        """One row of the scalar properties."""
        return np.dtype([(p.name, order + p.code) for p in self.scalars])


@dataclass(frozen=True)
class Header:
    """Parsed, with the lines it was parsed from (latin-1, so every byte survives)."""

    format: str
    elements: tuple[Element, ...]
    comments: tuple[str, ...] = ()
    """Lines `comment ...` and `obj_info ...` in front of the first element, whole."""
    newline: str = "\n"

    @property
    def ascii(self) -> bool:
        return self.format == "ascii"

    @property
    def order(self) -> str:
        """numpy's byte order mark."""
        return _ORDERS[self.format]

    @cached_property
    def position(self) -> int:
        """Which element holds the vertices; -1 when none does."""
        return next((i for i, element in enumerate(self.elements) if element.name == "vertex"), -1)

    @property
    def vertex(self) -> Element:
        return self.elements[self.position]

    def with_vertex(self, vertex: Element) -> Header:
        elements = (*self.elements[: self.position], vertex, *self.elements[self.position + 1 :])
        return dataclasses.replace(self, elements=elements)

    def with_comments(self, comments: tuple[str, ...]) -> Header:
        """The header with more comment lines, each once."""
        lines = [f"comment {line}" for comment in comments for line in comment.splitlines()]
        lines = [line.encode().decode("latin-1") for line in lines]
        new = tuple(line for line in dict.fromkeys(lines) if line not in self.comments)
        return dataclasses.replace(self, comments=(*self.comments, *new))

    def encode(self) -> bytes:
        lines = ["ply", f"format {self.format} 1.0", *self.comments]
        for element in self.elements:
            lines.append(f"element {element.name} {element.count}")
            for p in element.properties:
                kind = p.type if p.count_type is None else f"list {p.count_type} {p.type}"
                lines.append(f"property {kind} {p.name}")
        return self.newline.join([*lines, "end_header", ""]).encode("latin-1")


def read_header(file: IO[bytes], name: str) -> Header:
    """The header of an open file, which is left at the first byte of the body; `name` is for the messages."""
    lines, newline = _header_lines(file, name)
    format, comments, elements = "", [], []
    for number, line in enumerate(lines[1:], 2):
        words = line.split()
        keyword = words[0] if words else ""
        if keyword in ("comment", "obj_info"):
            comments.append(line)
        elif not keyword:
            continue
        elif keyword == "format" and len(words) >= 2 and words[1] in _ORDERS:
            format = words[1]
        elif keyword == "element" and len(words) == 3 and words[2].isdecimal() and len(words[2]) < 19:
            elements.append(Element(words[1], int(words[2])))
        elif keyword == "property" and elements and (parsed := _property(words)):
            elements[-1] = dataclasses.replace(elements[-1], properties=(*elements[-1].properties, parsed))
        else:
            raise BadFile(f"{name} has a PLY header that cannot be understood: line {number} is {line[:60]!r}.")
    if not format:
        raise BadFile(f"{name} has a PLY header without a format line: it is damaged, get a fresh copy.")
    for element in elements:
        _refuse_duplicates(element, name)
    return Header(format, tuple(elements), tuple(comments), newline)


def _header_lines(file: IO[bytes], name: str) -> tuple[list[str], str]:
    """Lines up to `end_header`, and what ends them."""
    first = file.readline(64)
    if not first:
        raise BadFile(f"{name} is empty: get a fresh copy.")
    if first.strip() != b"ply":
        raise BadFile(f"{name} is not a PLY file: it does not begin with 'ply'.")
    newline = "\r\n" if first.endswith(b"\r\n") else "\n"
    lines = ["ply"]
    while file.tell() < _LONGEST:
        line = file.readline(_LONGEST)
        if not line.endswith(b"\n"):
            break
        text = line.decode("latin-1").rstrip("\r\n")
        if text.strip() == "end_header":
            return lines, newline
        lines.append(text)
    raise BadFile(f"{name} ends inside its PLY header: it is truncated, get a fresh copy.")


def _property(words: list[str]) -> Property | None:
    match words[1:]:
        case ["list", count_type, type, name] if count_type in _TYPES and type in _TYPES:
            return Property(name, type, count_type) if _TYPES[count_type][0] in "iu" else None
        case [type, name] if type in _TYPES:
            return Property(name, type)
    return None


def _refuse_duplicates(element: Element, name: str) -> None:
    names = [p.name for p in element.properties]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise BadFile(f"{name} has the property {twice[0]!r} twice in element {element.name!r}: it is damaged.")
