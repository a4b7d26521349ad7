"""Writing .spz, versions 2, 3 and 4; the layout is described in `spz.py`."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from gaussian_lens_app.errors import ExportError
from gaussian_lens_app.formats.atomic import write_atomically
from gaussian_lens_app.formats.frames import swap_rub
from gaussian_lens_app.formats.packing import Arrays, arrays_of, blocks, normalized, sigmoid, smallest_three, to_byte
from gaussian_lens_app.formats.spz import COLOR_SCALE, HEADER, HEADER_4, MAGIC, STREAM
from gaussian_lens_app.formats.values import Finding, Layout
from gaussian_lens_app.scene import Gaussians

VERSIONS = (2, 3, 4)
DEFAULT_VERSION = 3
"""Version 4 is the newest, but most programs read up to 3."""
_FRACTION = 12
_WIDEST = (1 << 23) - 1
_MOST = 10_000_000
"""Readers of versions before 4 refuse more Gaussians."""
_FIRST_STEP, _REST_STEP = 8, 16
"""Niantic's default steps of the SH bytes of degree 1 and above: 5 and 4 of 8 bits."""


def save_spz(
    path: Path,
    gaussians: Gaussians,
    layout: Layout | None,
    sources: np.ndarray,
    comments: Sequence[str],
    version: int = DEFAULT_VERSION,
) -> None:
    """Write the rows in their order, with as many bits behind the point as the scene's extent leaves."""
    if version not in VERSIONS:
        raise ExportError(f"{path} was not written: SPZ version {version} cannot be; choose 2, 3 or 4.")
    if not len(gaussians):
        raise ExportError(f"{path} was not written: the scene holds no Gaussian.")
    if version < 4 and len(gaussians) > _MOST:
        raise ExportError(f"{path} was not written: SPZ {version} holds 10 million Gaussians; choose version 4.")
    fraction = fraction_bits(gaussians)
    degree = _degree(gaussians, version)
    streams = _streams(gaussians.with_sh_degree(degree), version, fraction)
    with write_atomically(path) as file:
        if version == 4:
            _write_4(file, streams, len(gaussians), degree, fraction)
        else:
            packer = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
            file.write(packer.compress(HEADER.pack(MAGIC, version, len(gaussians), degree, fraction, 0, 0)))
            for stream in streams:
                file.write(packer.compress(stream))
            file.write(packer.flush())


def fraction_bits(g: Gaussians) -> int:
    """Bits behind the point of a position: Niantic's 12, fewer for scenes too large for that."""
    farthest = float(g.means.abs().max())
    bits = _FRACTION
    while bits > 0 and farthest * (1 << bits) > _WIDEST:
        bits -= 1
    return bits


def loss(g: Gaussians) -> Iterator[Finding]:
    """What the format cannot carry of a scene."""
    bits = fraction_bits(g)
    yield Finding("rounded", len(g), f"Positions are rounded to 1/{1 << bits}, log scales to 1/16, the rest to 8 bits")
    tests = [
        ("clamped-scale", (g.log_scales < -10) | (g.log_scales > 5.9375), "scales outside e^-10 to e^5.9"),
        ("clamped-sh", g.shN.abs().flatten(1) > 1, "SH coefficients beyond 1"),
        ("clamped-color", (g.sh0[:, 0] * COLOR_SCALE).abs() > 0.5, "base colours beyond what is stored"),
        ("clamped-position", g.means.abs() * (1 << bits) > _WIDEST, "positions too far out"),
    ]
    for kind, bad, what in tests:
        if count := int(bad.any(1).sum()):
            yield Finding(kind, count, f"{count} Gaussians with {what} are clamped")


def _degree(g: Gaussians, version: int) -> int:
    return min(g.sh_degree, 4 if version == 4 else 3)


def _streams(g: Gaussians, version: int, fraction: int) -> list[bytes]:
    """Positions, opacities, colours, scales, rotations, spherical harmonics, of all rows."""
    arrays = arrays_of(g)
    pieces: list[list[bytes]] = [[] for _ in range(6)]
    for block in blocks(len(g)):
        rows = Arrays(*(a[block].copy() for a in arrays))
        swap_rub(rows)
        for stream, values in zip(pieces, _encode(rows, version, fraction), strict=True):
            stream.append(np.ascontiguousarray(values).tobytes())
    return [b"".join(stream) for stream in pieces]


def _encode(rows: Arrays, version: int, fraction: int) -> list[np.ndarray]:
    fixed = np.clip(np.rint(rows.means.astype(np.float64) * (1 << fraction)), -_WIDEST - 1, _WIDEST).astype("<i4")
    return [
        fixed.view(np.uint8).reshape(-1, 3, 4)[..., :3],
        to_byte(sigmoid(rows.logit_opacities) * 255),
        to_byte((rows.sh0[:, 0] * COLOR_SCALE + 0.5) * 255),
        to_byte((rows.log_scales + 10) * 16),
        _rotations(rows.quats, version),
        _harmonics(rows.shN),
    ]


def _rotations(quats: np.ndarray, version: int) -> np.ndarray:
    if version == 2:
        unit = normalized(quats)
        return to_byte(np.where(unit[:, :1] < 0, -1, 1) * unit[:, 1:] * 127.5 + 127.5)
    which, rest = smallest_three(np.roll(quats, -1, 1))  # xyzw
    fields = np.rint(np.abs(rest) / np.sqrt(0.5) * 511).clip(0, 511).astype(np.uint32) | (rest < 0) * np.uint32(512)
    word = which.astype(np.uint32)
    for column in fields.T:
        word = word << np.uint32(10) | column
    return word.astype("<u4").view(np.uint8)


def _harmonics(shN: np.ndarray) -> np.ndarray:
    """Bytes in steps of 8 (degree 1) and 16, as Niantic's own program writes: they pack better, 128 stays zero."""
    step = np.full(shN.shape[1], _REST_STEP)
    step[:3] = _FIRST_STEP
    whole = np.clip(shN, -4.0, 4.0) * 128 + 128
    whole = np.floor(whole / step[:, None] + 0.5) * step[:, None]
    return np.clip(whole, 0, 255).astype(np.uint8)


def _write_4(file, streams: list[bytes], count: int, degree: int, fraction: int) -> None:
    import zstandard

    packer = zstandard.ZstdCompressor(level=12)
    used = streams if degree else streams[:-1]
    packed = [packer.compress(stream) for stream in used]
    file.write(HEADER_4.pack(MAGIC, 4, count, degree, fraction, 0, len(used), HEADER_4.size))
    for small, stream in zip(packed, used, strict=True):
        file.write(STREAM.pack(len(small), len(stream)))
    for small in packed:
        file.write(small)
