"""PlayCanvas's compressed PLY: chunks of 256 Gaussians, 16 bytes each, quantised within the chunk's bounds.

Layout: "Compressed PLY Format" in PlayCanvas's user manual (Gaussian Splatting, Formats). Position and scale 11 + 10 +
11 bits, rotation 2 + 3 x 10 bits (smallest three), colour and opacity 4 x 8 bits; an optional element `sh` of bytes.
Files without colour bounds (12 properties a chunk) are older.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from gaussian_lens_app.errors import BadFile, ExportError
from gaussian_lens_app.formats.atomic import write_atomically
from gaussian_lens_app.formats.limits import refuse_bombs
from gaussian_lens_app.formats.packing import (
    Arrays,
    arrays_of,
    from_smallest_three,
    logit,
    morton_order,
    new_arrays,
    scene_file,
    sigmoid,
    smallest_three,
    to_byte,
)
from gaussian_lens_app.formats.ply_body import BLOCK, Body
from gaussian_lens_app.formats.ply_header import Element, Header, Property
from gaussian_lens_app.formats.values import Finding, Layout, SceneFile
from gaussian_lens_app.scene import Gaussians
from gaussian_lens_app.scene.gaussians import SH_C0

NAME = "PlayCanvas compressed PLY"
CHUNK = 256
_BOUNDS = [f"{end}_{p}{axis}" for p in ("", "scale_") for end in ("min", "max") for axis in "xyz"]
_COLOR_BOUNDS = [f"{end}_{channel}" for end in ("min", "max") for channel in "rgb"]
_PACKED = ["packed_position", "packed_rotation", "packed_scale", "packed_color"]
_DEGREES = {9: 1, 24: 2, 45: 3}
_ROTATION_UNIT = np.sqrt(2)
_SH_RANGE = 8.0
"""Coefficients lie within -4 and 4."""
_LOG_SCALES = (-20.0, 20.0)


def is_compressed(header: Header) -> bool:
    """Whether the vertices are packed rather than INRIA's."""
    names = {element.name for element in header.elements}
    return "chunk" in names and header.position >= 0 and _PACKED[0] in {p.name for p in header.vertex.scalars}


def read_compressed(body: Body, header: Header, path: Path, held: int) -> SceneFile:
    """The Gaussians of an open file whose header has been read; `held` is the file's size."""
    count, degree = _check(header, path.name, held)
    arrays = new_arrays(count, degree)
    bounds = None
    for element in header.elements:
        if element.name == "chunk":
            bounds = _bounds(body, element)
        elif element is header.vertex and bounds is not None:
            _read_vertices(body, element, bounds, arrays)
        elif element.name == "sh" and degree:
            _read_sh(body, element, arrays.shN)
        else:
            body.raw(element)
    return scene_file(arrays.gaussians(), path, NAME, _trailing(body.trailing()))


def save_compressed(
    path: Path, gaussians: Gaussians, layout: Layout | None, sources: np.ndarray, comments: Sequence[str]
) -> None:
    """Write in Morton order; degree 4 is cut to 3."""
    if not len(gaussians):
        raise ExportError(f"{path} was not written: the scene holds no Gaussian.")
    degree = min(gaussians.sh_degree, 3)
    arrays = arrays_of(gaussians.with_sh_degree(degree) if degree != gaussians.sh_degree else gaussians)
    order = morton_order(arrays.means)
    starts = range(0, len(order), CHUNK)
    packed = [_pack(Arrays(*(a[order[start : start + CHUNK]] for a in arrays))) for start in starts]
    header = _header(len(order), len(starts), degree).with_comments(tuple(comments))
    with write_atomically(path) as file:
        file.write(header.encode())
        file.write(np.concatenate([bounds for bounds, _ in packed]).astype("<f4").tobytes())
        file.write(np.concatenate([words for _, words in packed]).astype("<u4").tobytes())
        if degree:
            for start in range(0, len(order), BLOCK):
                shN = arrays.shN[order[start : start + BLOCK]].transpose(0, 2, 1)
                file.write(to_byte(np.floor((shN / _SH_RANGE + 0.5) * 256)).tobytes())


def loss(g: Gaussians) -> Iterator[Finding]:
    """What the format cannot carry of a scene."""
    yield Finding("rounded", len(g), "Values are rounded: positions and scales to 10 or 11 bits of their block of 256")
    beyond = int((g.shN.abs() > _SH_RANGE / 2).any((1, 2)).sum()) if g.shN.numel() else 0
    if beyond:
        yield Finding("clamped-sh", beyond, f"{beyond} Gaussians with SH coefficients beyond 4 are clamped")


def _check(header: Header, name: str, held: int) -> tuple[int, int]:
    """(count, SH degree) of a header that keeps to the format."""
    elements = {element.name: element for element in header.elements}
    if len(elements) < len(header.elements):
        raise BadFile(f"{name} is a compressed PLY that has an element twice: it is damaged.")
    chunk, vertex, sh = elements["chunk"], header.vertex, elements.get("sh")
    count = vertex.count
    if header.format != "binary_little_endian":
        raise BadFile(f"{name} is a compressed PLY that is not binary little-endian: save it again with its program.")
    colors = [p.name for p in chunk.scalars if p.name in _COLOR_BOUNDS]
    lacking = [n for n in _BOUNDS if n not in {p.name for p in chunk.scalars}]
    lacking += [n for n in _PACKED if n not in {p.name for p in vertex.scalars}]
    lacking += [n for n in _COLOR_BOUNDS if colors and n not in colors]
    if lacking:
        raise BadFile(f"{name} is a compressed PLY that lacks {', '.join(lacking)}: it is damaged.")
    if any(p.code != "f4" for p in chunk.scalars) or any(p.code != "u4" for p in vertex.scalars):
        raise BadFile(f"{name} is a compressed PLY with properties of other types than float and uint: it is damaged.")
    if chunk.lists or vertex.lists or header.elements.index(chunk) > header.position:
        raise BadFile(f"{name} is a compressed PLY whose elements are in no usable order: it is damaged.")
    if chunk.count != -(-count // CHUNK):
        raise BadFile(f"{name} has {chunk.count} chunks for {count} Gaussians, which need {-(-count // CHUNK)}.")
    degree = _DEGREES.get(len(sh.scalars), -1) if sh else 0
    names = [f"f_rest_{i}" for i in range(len(sh.scalars))] if sh else []
    if sh and (degree < 0 or sh.count != count or sh.lists or [p.name for p in sh.scalars] != names):
        raise BadFile(f"{name} has an element sh that does not fit its {count} Gaussians: it is damaged.")
    if sh and any(p.code != "u1" for p in sh.scalars):
        raise BadFile(f"{name} has spherical harmonics that are no bytes: it is damaged.")
    refuse_bombs(name, held, count, degree)
    return count, degree


def _bounds(body: Body, element: Element) -> dict[str, np.ndarray]:
    """Lower and upper corners, (chunks, 3) each, of positions, log scales and colours."""
    table = np.concatenate(list(body.blocks(element)) or [np.zeros(0, element.dtype("<"))])
    corner = {}
    for what, prefix, axes in (("means", "", "xyz"), ("scales", "scale_", "xyz"), ("colors", "", "rgb")):
        for end in ("min", "max"):
            names = [f"{end}_{prefix}{axis}" for axis in axes]
            known = names[0] in (table.dtype.names or ())
            values = [table[n] if known else np.full(len(table), end == "max", np.float32) for n in names]
            corner[f"{end}_{what}"] = np.stack(values, 1)
    return corner


def _read_vertices(body: Body, element: Element, bounds: dict[str, np.ndarray], out: Arrays) -> None:
    start = 0
    for block in body.blocks(element):
        rows = slice(start, start + len(block))
        chunk = np.arange(rows.start, rows.stop) // CHUNK

        def within(what: str, part: np.ndarray, chunk: np.ndarray = chunk) -> np.ndarray:
            low, high = bounds[f"min_{what}"][chunk], bounds[f"max_{what}"][chunk]
            return low * (1 - part) + high * part

        color = _fields(block["packed_color"], (8, 8, 8, 8))
        rotation = _fields(block["packed_rotation"], (2, 10, 10, 10))
        which = (block["packed_rotation"] >> np.uint32(30)).astype(np.intp)
        with np.errstate(invalid="ignore", over="ignore"):  # infinite bounds: their Gaussians are dropped later
            out.means[rows] = within("means", _fields(block["packed_position"], (11, 10, 11)))
            out.log_scales[rows] = within("scales", _fields(block["packed_scale"], (11, 10, 11)))
            out.sh0[rows, 0] = (within("colors", color[:, :3]) - 0.5) / SH_C0
        out.logit_opacities[rows] = logit(color[:, 3])
        out.quats[rows] = from_smallest_three(which, (rotation[:, 1:] - 0.5) * _ROTATION_UNIT)
        start += len(block)


def _read_sh(body: Body, element: Element, shN: np.ndarray) -> None:
    """One byte a coefficient, channel by channel; the ends of the range are meant exactly, other bytes their middle."""
    table = ((np.arange(256) + 0.5) / 256 - 0.5) * _SH_RANGE
    table[[0, 255]] = -_SH_RANGE / 2, _SH_RANGE / 2
    start, bands = 0, shN.shape[1]
    for block in body.blocks(element):
        values = np.ascontiguousarray(block).view(np.uint8).reshape(len(block), 3, bands)
        shN[start : start + len(block)] = table.astype(np.float32)[values].transpose(0, 2, 1)
        start += len(block)


def _fields(words: np.ndarray, bits: tuple[int, ...]) -> np.ndarray:
    """(N, fields) in 0..1, the first field in the highest bits."""
    fields, shift = [], 32
    for width in bits:
        shift -= width
        fields.append(((words >> np.uint32(shift)) & np.uint32((1 << width) - 1)) / np.float32((1 << width) - 1))
    return np.stack(fields, 1).astype(np.float32)


def _pack(rows: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """((18,) bounds, (n, 4) words) of one chunk."""
    with np.errstate(over="ignore"):
        log_scales = np.clip(rows.log_scales, *_LOG_SCALES)
        colors = rows.sh0[:, 0] * SH_C0 + 0.5
    parts = [_within(values) for values in (rows.means, log_scales, colors)]
    which, rest = smallest_three(rows.quats)
    opacity = sigmoid(rows.logit_opacities)[:, None]
    rotation = _words(rest / _ROTATION_UNIT + 0.5, (10, 10, 10)) | which.astype(np.uint32) << np.uint32(30)
    (means, low, high), (scales, smallest, largest), (colors, dark, bright) = parts
    words = [
        _words(means, (11, 10, 11)),
        rotation,
        _words(scales, (11, 10, 11)),
        _words(np.concatenate([colors, opacity], 1), (8, 8, 8, 8)),
    ]
    return np.concatenate([low, high, smallest, largest, dark, bright]), np.stack(words, 1)


def _within(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(values as parts of their range, lowest, highest)"""
    low, high = values.min(0), values.max(0)
    span = high.astype(np.float64) - low
    return (values - low) / np.where(span > 0, span, 1.0), low, high


def _words(parts: np.ndarray, bits: tuple[int, ...]) -> np.ndarray:
    """uint32 of fields in 0..1, the first in the highest bits used."""
    word = np.zeros(len(parts), np.uint32)
    for column, width in zip(parts.T, bits, strict=True):
        top = (1 << width) - 1
        word = word << np.uint32(width) | np.clip(np.rint(column * top), 0, top).astype(np.uint32)
    return word


def _header(count: int, chunks: int, degree: int) -> Header:
    bounds = tuple(Property(name, "float") for name in (*_BOUNDS, *_COLOR_BOUNDS))
    rest = tuple(Property(f"f_rest_{i}", "uchar") for i in range(3 * ((degree + 1) ** 2 - 1)))
    elements = [Element("chunk", chunks, bounds), Element("vertex", count, tuple(Property(n, "uint") for n in _PACKED))]
    return Header("binary_little_endian", (*elements, *([Element("sh", count, rest)] if degree else [])))


def _trailing(size: int) -> tuple[Finding, ...]:
    sentence = f"{size} bytes behind the last element belong to nothing and are dropped."
    return (Finding("trailing-bytes", size, sentence),) if size else ()
