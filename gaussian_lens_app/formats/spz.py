"""Niantic's .spz: fixed-point positions and bytes for the rest, packed with gzip (versions 1 to 3) or zstd (4).

Layout: README.md of nianticlabs/spz (MIT). The file's axes are x right, y up, z backward, and are turned to INRIA's.
Order: positions (24-bit fixed point, version 1: float16), opacities, colours, log scales, rotations (version 3:
smallest three in 32 bits, before: xyz in bytes), spherical harmonics with the channel innermost.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gaussian_lens_app.errors import BadFile, UnknownFormat
from gaussian_lens_app.formats.frames import swap_rub
from gaussian_lens_app.formats.limits import Gunzip, need, read_bytes, refuse_bombs, unzstd
from gaussian_lens_app.formats.packing import Arrays, blocks, from_smallest_three, logit, new_arrays, scene_file
from gaussian_lens_app.formats.values import Finding, SceneFile

NAME = "SPZ"
MAGIC = b"NGSP"
GZIP = b"\x1f\x8b"
COLOR_SCALE = 0.15
"""Base colours are stored as 0.5 + 0.15 * sh0, so that some lie outside what can be shown."""
HEADER = struct.Struct("<4sIIBBBB")
HEADER_4 = struct.Struct("<4sIIBBBBI12x")
STREAM = struct.Struct("<QQ")
ANTIALIASED, EXTENSIONS = 1, 2
_MOST_BITS = 24


@dataclass(frozen=True)
class _Header:
    version: int
    count: int
    degree: int
    fraction: int
    """Bits behind the point of a position."""
    flags: int

    def sizes(self) -> list[int]:
        """Bytes of positions, opacities, colours, scales, rotations, spherical harmonics."""
        bands = (self.degree + 1) ** 2 - 1
        row = [6 if self.version == 1 else 9, 1, 3, 3, 3 if self.version < 3 else 4, 3 * bands]
        return [size * self.count for size in row]


def load_spz(path: Path) -> SceneFile:
    """The Gaussians, turned to INRIA's axes."""
    data, name = read_bytes(path), path.name
    if data.startswith(MAGIC):
        header, streams = _version_4(data, name)
    else:
        header, streams = _versions_1_to_3(data, name)
    del data
    out = new_arrays(header.count, header.degree)
    _decode(header, streams, out)
    swap_rub(out)
    return scene_file(out.gaussians(), path, f"{NAME} {header.version}", _findings(header))


def _versions_1_to_3(data: bytes, name: str) -> tuple[_Header, list[bytes]]:
    """One gzip stream: a header of 16 bytes, then the arrays."""
    if not data.startswith(GZIP):
        raise BadFile(f"{name} is no SPZ file: it begins neither with gzip's bytes nor with 'NGSP'.")
    stream = Gunzip(data, name)
    start = stream.read(HEADER.size)
    need(start, HEADER.size, name)
    magic, version, count, degree, fraction, flags, _ = HEADER.unpack(start)
    if magic != MAGIC:
        raise BadFile(f"{name} is a gzip file, but no SPZ is in it: unpack it with gzip and look what it is.")
    if version not in (1, 2, 3):
        raise UnknownFormat(f"{name} is SPZ version {version} in gzip; versions 1 to 3 are: save it as one of those.")
    header = _checked(_Header(version, count, degree, fraction, flags), name, len(data))
    streams = []
    for size in header.sizes():
        streams.append(stream.read(size))
        need(streams[-1], size, name)
    return header, streams


def _version_4(data: bytes, name: str) -> tuple[_Header, list[bytes]]:
    """A plain header of 32 bytes, extensions, a table of contents, and one zstd frame for each array."""
    need(data, HEADER_4.size, name)
    _, version, count, degree, fraction, flags, number, toc = HEADER_4.unpack_from(data)
    if version != 4:
        raise UnknownFormat(f"{name} is SPZ version {version}, which cannot be read: save it as version 2, 3 or 4.")
    header = _checked(_Header(version, count, degree, fraction, flags), name, len(data))
    sizes = header.sizes()
    wanted = len(sizes) if header.degree else len(sizes) - 1
    if number < wanted or toc < HEADER_4.size or toc + number * STREAM.size > len(data):
        raise BadFile(f"{name} has {number} streams at byte {toc}, where {wanted} are needed: it is damaged.")
    at, streams = toc + number * STREAM.size, []
    for index in range(wanted):
        packed, plain = STREAM.unpack_from(data, toc + index * STREAM.size)
        if plain != sizes[index] or packed > len(data) - at:
            raise BadFile(f"{name} has a stream of {plain} bytes where {sizes[index]} belong: it is damaged.")
        streams.append(unzstd(memoryview(data)[at : at + packed], plain, name))
        at += packed
    return header, [*streams, b""][: len(sizes)]


def _checked(header: _Header, name: str, held: int) -> _Header:
    if header.degree > 4 or header.fraction > _MOST_BITS:
        raise BadFile(f"{name} states SH degree {header.degree} and {header.fraction} bits: it is damaged.")
    refuse_bombs(name, held, header.count, header.degree)
    return header


def _decode(header: _Header, streams: list[bytes], out: Arrays) -> None:
    positions, opacities, colors, scales, rotations, rest = (np.frombuffer(s, np.uint8) for s in streams)
    bands = out.shN.shape[1]
    for block in blocks(header.count):
        rows = block.stop - block.start

        def part(bytes_: np.ndarray, width: int, block: slice = block, rows: int = rows) -> np.ndarray:
            return bytes_[block.start * width : block.stop * width].reshape(rows, width)

        out.means[block] = _positions(part(positions, len(positions) // header.count), header)
        out.logit_opacities[block] = logit(part(opacities, 1)[:, 0] / 255)
        out.sh0[block, 0] = (part(colors, 3) / np.float32(255) - 0.5) / COLOR_SCALE
        out.log_scales[block] = part(scales, 3) / np.float32(16) - 10
        out.quats[block] = _rotations(part(rotations, len(rotations) // header.count))
        out.shN[block] = ((part(rest, 3 * bands) - np.float32(128)) / 128).reshape(rows, bands, 3)


def _positions(packed: np.ndarray, header: _Header) -> np.ndarray:
    if header.version == 1:
        return np.ascontiguousarray(packed).view("<f2").astype(np.float32)
    parts = packed.reshape(-1, 3, 3).astype(np.int32)
    fixed = (parts[..., 0] << 8 | parts[..., 1] << 16 | parts[..., 2] << 24) >> 8  # keeps the sign
    return fixed / np.float64(1 << header.fraction)


def _rotations(packed: np.ndarray) -> np.ndarray:
    """(n, 4) wxyz"""
    if packed.shape[1] == 3:
        xyz = packed / 127.5 - 1
        w = np.sqrt(np.maximum(0.0, 1 - (xyz**2).sum(1, keepdims=True)))
        return np.concatenate([w, xyz], 1)
    word = np.ascontiguousarray(packed).view("<u4")[:, 0]
    fields = np.stack([word >> np.uint32(shift) & np.uint32(1023) for shift in (20, 10, 0)], 1)
    rest = (fields & 511) / 511 * np.sqrt(0.5) * np.where(fields & 512, -1, 1)
    xyzw = from_smallest_three((word >> np.uint32(30)).astype(np.intp), rest)
    return np.roll(xyzw, 1, 1)


def _findings(header: _Header) -> tuple[Finding, ...]:
    return tuple(_flags(header))


def _flags(header: _Header) -> Iterator[Finding]:
    if header.flags & ANTIALIASED:
        yield Finding("antialiased", 1, "The file says that its scene was trained with antialiasing (Mip-Splatting).")
    if header.flags & EXTENSIONS:
        yield Finding("extension", 1, "The file has extensions, which are not read.")


def looks(head: bytes) -> bool:
    """Whether a file's first bytes are an SPZ's."""
    if head.startswith(MAGIC):
        return True
    try:
        return head.startswith(GZIP) and Gunzip(head, "").read(4) == MAGIC
    except BadFile:
        return False
