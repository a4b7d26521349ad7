"""The body of a PLY file: blocks of vertex rows, and the other elements as raw bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from typing import IO, Literal

import numpy as np

from gaussian_lens_app.errors import BadFile
from gaussian_lens_app.formats.ply_header import Element, Header, Property

BLOCK = 1 << 14
"""Rows handled at once: 4 MB of a degree-3 file, so that the columns are picked apart within the cache."""


class Body:
    """Reads the elements of an open PLY file one after the other, in their order."""

    def __init__(self, file: IO[bytes], header: Header, name: str):
        self._file, self._header, self._name = file, header, name
        self._refuse_lies()

    def raw(self, element: Element) -> bytes:
        """The element's bytes as they stand."""
        if self._header.ascii:
            return self._joined(b"".join(self._lines(element, rows)) for rows in self._parts(element))
        if not element.lists:
            return self._read(element.count * element.dtype(self._header.order).itemsize, element)
        return self._joined(whole for whole, _ in self._walk(element))

    def blocks(self, element: Element) -> Iterator[np.ndarray]:
        """The element's scalar properties as structured arrays of up to BLOCK rows; lists are passed over."""
        dtype = element.dtype(self._header.order)
        walk = self._walk(element) if element.lists and not self._header.ascii else None
        for start in range(0, element.count, BLOCK):
            rows = min(BLOCK, element.count - start)
            if self._header.ascii:
                yield self._parse(element, self._lines(element, rows), dtype)
            elif walk is not None:
                yield np.frombuffer(b"".join(scalars for _, scalars in islice(walk, rows)), dtype)
            else:
                yield np.frombuffer(self._read(rows * dtype.itemsize, element), dtype)

    def trailing(self) -> int:
        """Bytes behind the last element that are more than white space."""
        count = 0
        while chunk := self._file.read(1 << 20):
            count += len(chunk.strip() if self._header.ascii else chunk)
        return count

    def _parts(self, element: Element) -> Iterator[int]:
        """Rows of each block; none where rows are empty."""
        for start in range(0, element.count if element.properties else 0, BLOCK):
            yield min(BLOCK, element.count - start)

    @staticmethod
    def _joined(parts: Iterator[bytes]) -> bytes:
        """The same as b"".join, which would keep every part as an object until the last is there."""
        whole = bytearray()
        for part in parts:
            whole += part
        return bytes(whole)

    def _refuse_lies(self) -> None:
        """Compare what the header promises at the very least with what is there, before anything is allocated."""
        held = os.fstat(self._file.fileno()).st_size - self._file.tell()
        needed = sum(element.count * self._smallest_row(element) for element in self._header.elements)
        if needed > held + self._header.ascii:  # the last line of a text file may lack its end
            promised = ", ".join(f"{element.count} x {element.name}" for element in self._header.elements)
            raise BadFile(
                f"{self._name} is truncated: its header promises {promised}, which is at least {needed} bytes, "
                f"but only {held} follow. Get a fresh copy."
            )

    def _smallest_row(self, element: Element) -> int:
        if self._header.ascii:
            return 2 * len(element.properties)  # a digit and what parts it from the next
        counts = sum(_count_dtype(p, "<").itemsize for p in element.lists)
        return element.dtype("<").itemsize + counts

    def _read(self, size: int, element: Element) -> bytes:
        data = self._file.read(size)
        if len(data) < size:
            raise BadFile(f"{self._name} is truncated in element {element.name!r}: get a fresh copy.")
        return data

    def _lines(self, element: Element, count: int) -> list[bytes]:
        """`count` lines that hold something; an element without properties has none."""
        if not element.properties:
            return []
        lines = list(islice((line for line in iter(self._file.readline, b"") if line.strip()), count))
        if len(lines) < count:
            raise BadFile(f"{self._name} is truncated in element {element.name!r}: get a fresh copy.")
        return lines

    def _parse(self, element: Element, lines: list[bytes], dtype: np.dtype) -> np.ndarray:
        try:
            texts = [_without_lists(line.decode("latin-1"), element) for line in lines]
            return np.loadtxt(texts, dtype, comments=None, ndmin=1)
        except (ValueError, IndexError, OverflowError) as error:
            raise BadFile(
                f"{self._name} has a line that does not fit its header ({error}): it is damaged or truncated."
            ) from error

    def _walk(self, element: Element) -> Iterator[tuple[bytes, bytes]]:
        """(whole row, its scalars only) for rows whose length depends on lists."""
        order: Literal["big", "little"] = "big" if self._header.order == ">" else "little"
        plan = [(p.count_type is None, np.dtype(p.code).itemsize, _count_dtype(p, "<")) for p in element.properties]
        steps = [(scalar, size, count.itemsize, count.kind == "i") for scalar, size, count in plan]
        for _ in range(element.count):
            whole, scalars = [], []
            for scalar, size, head_size, signed in steps:
                if scalar:
                    scalars.append(self._read(size, element))
                    whole.append(scalars[-1])
                    continue
                head = self._read(head_size, element)
                length = int.from_bytes(head, order, signed=signed)
                if length < 0:
                    raise BadFile(f"{self._name} has a list of negative length in {element.name!r}: it is damaged.")
                whole += [head, self._read(length * size, element)]
            yield b"".join(whole), b"".join(scalars)


def _count_dtype(p: Property, order: str) -> np.dtype:
    return Property(p.name, p.count_type or p.type).dtype(order)


def _without_lists(line: str, element: Element) -> str:
    """A text row with only its scalar values."""
    if not element.lists:
        return line
    words, kept, at = line.split(), [], 0
    for p in element.properties:
        if p.count_type is None:
            kept.append(words[at])
            at += 1
        else:
            at += 1 + int(words[at])
    return " ".join(kept)


def write_blocks(file: IO[bytes], header: Header, blocks: Iterator[np.ndarray]) -> None:
    """Write vertex rows in the header's format; text keeps every bit of a float (9 or 17 significant digits)."""
    formats = {"f4": "%.9g", "f8": "%.17g"}
    row = " ".join(formats.get(p.code, "%d") for p in header.vertex.scalars)
    for block in blocks:
        if header.ascii:
            np.savetxt(file, block, fmt=row, newline=header.newline)
        else:
            file.write(block.data)
