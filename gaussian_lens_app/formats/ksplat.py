"""Reading .ksplat, the format of mkkellogg/GaussianSplats3D (MIT), versions 0.1 and later, compression 0 to 2.

Layout: SplatBuffer.js there. A header of 4096 bytes, headers of 1024 bytes for each section, then the sections' data:
sizes of the partly filled buckets, bucket centres, and rows. Compression 0 stores floats; 1 and 2 store positions in 16
bits around their bucket's centre, scales and rotations as float16, harmonics as float16 or bytes.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gaussian_lens_app.errors import BadFile, UnknownFormat
from gaussian_lens_app.formats.limits import need, read_bytes, refuse_bombs
from gaussian_lens_app.formats.packing import Arrays, blocks, log_scale, logit, new_arrays, scene_file
from gaussian_lens_app.formats.values import SceneFile
from gaussian_lens_app.scene.gaussians import SH_C0

NAME = "ksplat"
_HEADER, _SECTION = 4096, 1024
_BANDS = {0: 0, 1: 3, 2: 8, 3: 15}
_WIDE = 32767
"""16-bit positions count from the bucket's centre, which is stored as this, unless the section says otherwise."""


@dataclass(frozen=True)
class _Section:
    count: int
    capacity: int
    buckets: int
    bucket_size: int
    full: int
    partial: int
    step: float
    middle: int
    degree: int
    row: np.dtype
    at: int

    @property
    def centers_at(self) -> int:
        return self.at + 4 * self.partial

    @property
    def rows_at(self) -> int:
        return self.centers_at + self.bucket_size * self.buckets


@dataclass(frozen=True)
class _Harmonics:
    low: float
    high: float


def load_ksplat(path: Path) -> SceneFile:
    """The Gaussians of all sections."""
    data, name = read_bytes(path), path.name
    need(data, _HEADER, name)
    major, minor = data[0], data[1]
    sections, count, mode = *struct.unpack_from("<I", data, 4), *struct.unpack_from("<IH", data, 16)
    low, high = struct.unpack_from("<ff", data, 36)
    if major != 0 or minor < 1:
        raise UnknownFormat(f"{name} is no .ksplat file of version 0.1 or later (its header says {major}.{minor}).")
    if mode > 2 or sections * _SECTION > len(data) - _HEADER:
        raise BadFile(f"{name} states compression {mode} and {sections} sections: it is damaged or truncated.")
    found = _sections(data, sections, mode, name)
    degree = max((section.degree for section in found), default=0)
    total = sum(section.count for section in found)
    refuse_bombs(name, len(data), total, degree)
    if count != total:
        raise BadFile(f"{name} states {count} Gaussians, but its sections hold {total}: it is damaged.")
    range_ = _Harmonics(low or -1.5, high or 1.5)
    out, at = new_arrays(total, degree), 0
    for section in found:
        _read_section(data, section, mode, range_, Arrays(*(a[at : at + section.count] for a in out)), name)
        at += section.count
    return scene_file(out.gaussians(), path, f"{NAME} {major}.{minor}")


def _sections(data: bytes, number: int, mode: int, name: str) -> list[_Section]:
    """Where each section's data is; all of it lies inside the file."""
    at, found = _HEADER + number * _SECTION, []
    for index in range(number):
        head = _HEADER + index * _SECTION
        count, most, capacity, buckets = struct.unpack_from("<IIII", data, head)
        (side,), (bucket_size,) = struct.unpack_from("<f", data, head + 16), struct.unpack_from("<H", data, head + 20)
        middle, _, full, partial = struct.unpack_from("<IIII", data, head + 24)
        (degree,) = struct.unpack_from("<H", data, head + 40)
        if degree > 3 or count > most or full + partial > buckets or (mode and not math.isfinite(side)):
            raise BadFile(f"{name} has a section {index} whose figures contradict each other: it is damaged.")
        middle = middle or (_WIDE if mode else 1)
        row = _row(mode, degree)
        section = _Section(
            count, capacity, buckets, bucket_size, full, partial, side / 2 / middle, middle, degree, row, at
        )
        need(memoryview(data)[section.rows_at :], row.itemsize * count, name)
        if mode and count and (bucket_size != 12 or not buckets):
            raise BadFile(f"{name} has a section {index} without bucket centres: it is damaged.")
        at = section.rows_at + row.itemsize * most
        found.append(section)
    return found


def _row(mode: int, degree: int) -> np.dtype:
    wide, narrow, harmonics = ("<f4", "<f4", "<f4") if mode == 0 else ("<u2", "<f2", "<f2" if mode == 1 else "u1")
    fields = [("mean", wide, 3), ("scale", narrow, 3), ("quat", narrow, 4), ("rgba", "u1", 4)]
    return np.dtype([*fields, ("sh", harmonics, (3 * _BANDS[degree],))])


def _read_section(data: bytes, section: _Section, mode: int, sh: _Harmonics, out: Arrays, name: str) -> None:
    rows = np.frombuffer(data, section.row, section.count, section.rows_at)
    centers = _centers(data, section, name) if mode else None
    out.shN[:] = 0
    for block in blocks(section.count):
        part = rows[block]
        means = part["mean"].astype(np.float64)
        if centers is not None:
            means = (means - section.middle) * section.step + centers[_buckets(data, section, block, name)]
        with np.errstate(over="ignore", invalid="ignore"):  # what is no number is dropped later
            out.means[block] = means
            out.log_scales[block] = log_scale(part["scale"])
            out.quats[block] = part["quat"]
        out.sh0[block, 0] = (part["rgba"][:, :3] / np.float32(255) - 0.5) / SH_C0
        out.logit_opacities[block] = logit(part["rgba"][:, 3] / 255)
        values = part["sh"].astype(np.float32)
        _read_harmonics(values if mode < 2 else sh.low + values / 255 * (sh.high - sh.low), out.shN[block])


def _read_harmonics(values: np.ndarray, shN: np.ndarray) -> None:
    """Degree by degree, within one all of red, then green, then blue."""
    first = 0
    while 3 * first < values.shape[1]:
        width = 2 * math.isqrt(first + 1) + 1
        band = values[:, 3 * first : 3 * (first + width)].reshape(-1, 3, width)
        shN[:, first : first + width] = band.transpose(0, 2, 1)
        first += width


def _centers(data: bytes, section: _Section, name: str) -> np.ndarray:
    need(memoryview(data)[section.centers_at :], 12 * section.buckets, name)
    return np.frombuffer(data, "<f4", 3 * section.buckets, section.centers_at).reshape(-1, 3).astype(np.float64)


def _buckets(data: bytes, section: _Section, block: slice, name: str) -> np.ndarray:
    """The bucket of each row: full ones first, then the partly filled ones."""
    index = np.arange(block.start, block.stop)
    sizes = np.frombuffer(data, "<u4", section.partial, section.at).astype(np.int64)
    beyond = index - section.full * section.capacity
    late = section.full + np.searchsorted(np.cumsum(sizes), beyond, "right")
    buckets = np.where(beyond < 0, index // max(section.capacity, 1), late)
    if (buckets >= section.buckets).any():
        raise BadFile(f"{name} has more Gaussians than its buckets hold: it is damaged.")
    return buckets
