"""How much memory a file may claim: counts are checked against its size before anything is allocated.

A file of numbers as they are cannot claim more than it holds. A packed one (gzip, zstd, WebP, codebooks) can, so it may
become a scene of at most GROWTH times its own size plus SPARE bytes; files in use become 4 to 20 times larger. Reading
takes at most 4 times the larger of file and scene, plus SPARE.
"""

from __future__ import annotations

import zlib
from pathlib import Path

from gaussian_lens_app.errors import BadFile, FileError

SPARE = 64 << 20
GROWTH = 64
BLOCK = 1 << 14
"""Gaussians unpacked at once, so that temporary arrays stay small beside the scene."""


def scene_bytes(count: int, degree: int) -> int:
    """Of that many Gaussians in memory."""
    return 4 * count * (11 + 3 * (degree + 1) ** 2)


def refuse_bombs(name: str, held: int, count: int, degree: int) -> None:
    """Raises BadFile when a packed file of `held` bytes claims an absurd number of Gaussians, or none."""
    if count <= 0:
        raise BadFile(f"{name} holds zero Gaussians: there is nothing to show.")
    if scene_bytes(count, degree) > GROWTH * held + SPARE:
        raise BadFile(
            f"{name} claims {count} Gaussians in {held} bytes, which no program writes: it is damaged or a trap."
        )


def read_bytes(path: Path) -> bytes:
    """The whole file."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}.") from error


def need(data: bytes | memoryview, size: int, name: str) -> None:
    """Raises BadFile when there is less than was promised."""
    if len(data) < size:
        raise BadFile(f"{name} is truncated: it promises {size} bytes, but only {len(data)} follow. Get a fresh copy.")


class Gunzip:
    """A gzip stream that is unpacked piece by piece, never further than asked for."""

    def __init__(self, data: bytes, name: str):
        self._rest, self._name = data, name
        self._inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def read(self, size: int) -> bytes:
        """Up to `size` further bytes; fewer only at the end."""
        pieces, got = [], 0
        try:
            while got < size and not self._inflate.eof:
                piece = self._inflate.decompress(self._rest, size - got)
                self._rest = self._inflate.unconsumed_tail
                if not piece:
                    break
                pieces.append(piece)
                got += len(piece)
        except zlib.error as error:
            raise BadFile(f"{self._name} has a damaged gzip stream ({error}): get a fresh copy.") from error
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def unzstd(data: bytes | memoryview, size: int, name: str) -> bytes:
    """A zstd frame of exactly `size` bytes; what the frame itself claims is not believed."""
    import zstandard

    try:
        claimed = zstandard.get_frame_parameters(data).content_size
        if claimed not in (0, size, zstandard.CONTENTSIZE_UNKNOWN):
            raise BadFile(f"{name} has a stream of {claimed} bytes where {size} belong: it is damaged.")
        plain = zstandard.ZstdDecompressor().decompress(data, max_output_size=size) if size else b""
    except (zstandard.ZstdError, ValueError) as error:
        raise BadFile(f"{name} has a damaged zstd stream ({error}): get a fresh copy.") from error
    need(plain, size, name)
    return plain
