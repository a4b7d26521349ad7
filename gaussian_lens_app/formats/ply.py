"""INRIA's PLY of 3D Gaussians, read and written with the same bits.

Layout: the reference code of Kerbl et al., "3D Gaussian Splatting for Real-Time Radiance Field Rendering" (2023):
x y z, unused normals, f_dc_0..2, f_rest_0.. channel by channel, opacity (logit), scale_0..2 (log), rot_0..3 (wxyz).
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from gaussian_lens_app.errors import BadFile, ExportError, FileError
from gaussian_lens_app.formats.atomic import write_atomically
from gaussian_lens_app.formats.checks import usable, with_logarithms
from gaussian_lens_app.formats.compressed_ply import is_compressed, read_compressed
from gaussian_lens_app.formats.ply_body import BLOCK, Body, write_blocks
from gaussian_lens_app.formats.ply_cameras import stated_cameras
from gaussian_lens_app.formats.ply_header import Element, Header, Property, read_header
from gaussian_lens_app.formats.values import Finding, Layout, SceneFile
from gaussian_lens_app.scene import Gaussians

NAME = "INRIA PLY"
_NORMALS = ("nx", "ny", "nz")
_REST_COUNTS = {3 * ((degree + 1) ** 2 - 1): degree for degree in range(5)}


def load_ply(path: Path) -> SceneFile:
    """The Gaussians of a PLY file of any property order, type and byte order, and what is needed to write it back."""
    name = path.name
    try:
        with open(path, "rb") as file:
            header = read_header(file, name)
            if is_compressed(header):
                return read_compressed(Body(file, header, name), header, path, os.fstat(file.fileno()).st_size)
            degree = _check_vertex(header, name)
            body = Body(file, header, name)
            first = [body.raw(element) for element in header.elements[: header.position]]
            gaussians, columns = _read_vertices(body, header.vertex, degree)
            last = [body.raw(element) for element in header.elements[header.position + 1 :]]
            cameras, doubts = stated_cameras(header, [*first, b"", *last])
            findings = (*_layout_findings(header), *doubts, *_trailing(body.trailing()))
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}.") from error
    gaussians, mended = with_logarithms(gaussians)
    keep, dropped = usable(gaussians)
    if not keep.any():
        raise BadFile(f"{name} holds no usable Gaussian: {' '.join(f.sentence for f in dropped)}")
    if not keep.all():
        gaussians = gaussians.take(keep)
        columns = {key: column[keep.numpy()] for key, column in columns.items()}
    written = header.with_vertex(dataclasses.replace(header.vertex, properties=header.vertex.scalars))
    extra = tuple(name for name in columns if name not in property_names(4))
    layout = Layout(written, columns, b"".join(first), b"".join(last), extra)
    return SceneFile(gaussians, layout, (*mended, *dropped, *findings), path, NAME, cameras)


def save_ply(
    path: Path, gaussians: Gaussians, layout: Layout | None, sources: np.ndarray, comments: Sequence[str]
) -> None:
    """Write rows in the layout's way (INRIA's own when None); `sources` are rows of the layout's columns, -1 new."""
    if not len(gaussians):
        raise ExportError(f"{path} was not written: the scene holds no Gaussian.")
    layout = layout or Layout(plain_header(gaussians.sh_degree))
    gaussians, header = _fit_degree(gaussians.detach().to("cpu"), layout.header)
    header = header.with_vertex(dataclasses.replace(header.vertex, count=len(gaussians)))
    with write_atomically(path) as file:
        file.write(header.with_comments(tuple(comments)).encode())
        file.write(layout.before)
        write_blocks(file, header, _vertex_blocks(gaussians, header, layout, sources))
        file.write(layout.after)


def property_names(degree: int) -> tuple[str, ...]:
    """What a file must have, in INRIA's order (without the unused normals)."""
    rest = 3 * ((degree + 1) ** 2 - 1)
    return (
        *("x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", *(f"f_rest_{i}" for i in range(rest))),
        *("opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
    )


def _columns(g: Gaussians) -> dict[str, np.ndarray]:
    """Property name -> view of its values in the Gaussians' own memory."""
    shN, bands = g.shN.numpy(), g.shN.shape[1]
    views = {"opacity": g.logit_opacities.numpy()}
    views |= {name: g.means.numpy()[:, i] for i, name in enumerate("xyz")}
    views |= {f"f_dc_{c}": g.sh0.numpy()[:, 0, c] for c in range(3)}
    views |= {f"f_rest_{c * bands + k}": shN[:, k, c] for c in range(3) for k in range(bands)}
    views |= {f"scale_{i}": g.log_scales.numpy()[:, i] for i in range(3)}
    return views | {f"rot_{i}": g.quats.numpy()[:, i] for i in range(4)}


def _check_vertex(header: Header, name: str) -> int:
    """The SH degree, after making sure that this is a file of Gaussians."""
    if header.position < 0:
        raise BadFile(f"{name} has no element 'vertex', so there are no Gaussians in it.")
    names = {p.name for p in header.vertex.scalars}
    missing = [n for n in property_names(0) if n not in names]
    if missing:
        what = f"the property {missing[0]!r}" if len(missing) == 1 else f"the properties {', '.join(missing)}"
        raise BadFile(f"{name} lacks {what}: it is not a PLY of 3D Gaussians, or was written by a faulty program.")
    rest = {n for n in names if n.startswith("f_rest_")}
    degree = _REST_COUNTS.get(len(rest))
    if degree is None or rest != {f"f_rest_{i}" for i in range(len(rest))}:
        raise BadFile(
            f"{name} has {len(rest)} properties f_rest_*: SH degrees 0 to 4 have f_rest_0 onwards, "
            f"{', '.join(map(str, _REST_COUNTS))} of them."
        )
    if header.vertex.count == 0:
        raise BadFile(f"{name} holds zero Gaussians: there is nothing to show.")
    return degree


def _read_vertices(body: Body, vertex: Element, degree: int) -> tuple[Gaussians, dict[str, np.ndarray]]:
    """The Gaussians, and the columns that float32 fields cannot carry."""
    count, bands = vertex.count, (degree + 1) ** 2 - 1
    shapes = [(count, 3), (count, 4), (count, 3), (count,), (count, 1, 3), (count, bands, 3)]
    gaussians = Gaussians(*(torch.empty(shape) for shape in shapes))
    targets = _columns(gaussians)
    kept = {p.name: np.empty(count, p.code) for p in vertex.scalars if p.name not in targets or p.code != "f4"}
    start = 0
    with np.errstate(over="ignore"):  # a double too large for float32 becomes infinite and is dropped later
        for block in body.blocks(vertex):
            rows = slice(start, start + len(block))
            for name, values in (*targets.items(), *kept.items()):
                values[rows] = block[name]
            start += len(block)
    return gaussians, kept


def _vertex_blocks(g: Gaussians, header: Header, layout: Layout, sources: np.ndarray) -> Iterator[np.ndarray]:
    """Rows in the file's own types."""
    values, dtype = _columns(g), header.vertex.dtype(header.order)
    for start in range(0, len(g), BLOCK):
        rows = sources[start : start + BLOCK]
        block = np.zeros(len(rows), dtype)
        for name in block.dtype.names or ():
            new = values[name][start : start + BLOCK] if name in values else None
            block[name] = _column(new, layout.columns.get(name), rows, dtype[name])
        yield block


def _column(new: np.ndarray | None, old: np.ndarray | None, rows: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Values of one property: an extra one comes from its source row, another from there while it is unchanged."""
    if old is None:
        return np.zeros(len(rows), dtype) if new is None else _cast(new, dtype)
    known = rows >= 0
    before = old[np.where(known, rows, 0)]
    if new is None:
        return np.where(known, before, np.zeros((), dtype))
    with np.errstate(over="ignore"):
        same = known & (before.astype(np.float32).view(np.uint32) == np.ascontiguousarray(new).view(np.uint32))
    return np.where(same, before, _cast(new, dtype))


def _cast(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype.kind == "f":
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(values.astype(np.float64)), limits.min, limits.max).astype(dtype)


def plain_header(degree: int) -> Header:
    """What INRIA's own code writes; its viewer expects the normals, always zero."""
    names = property_names(degree)
    names = (*names[:3], *_NORMALS, *names[3:])
    return Header("binary_little_endian", (Element("vertex", 0, tuple(Property(n, "float") for n in names)),))


def _fit_degree(g: Gaussians, header: Header) -> tuple[Gaussians, Header]:
    """Gaussians and header of one SH degree, the higher of both: zeros are filled in, nothing is cut off."""
    properties = header.vertex.properties
    rest = [p for p in properties if p.name.startswith("f_rest_")]
    degree = _REST_COUNTS[len(rest)]
    if g.sh_degree <= degree:
        return (g if g.sh_degree == degree else g.with_sh_degree(degree)), header
    kept = [p for p in properties if p not in rest]
    at = properties.index(rest[0]) if rest else 1 + max(i for i, p in enumerate(kept) if p.name.startswith("f_dc_"))
    kind = rest[0].type if rest else "float"
    more = [Property(f"f_rest_{i}", kind) for i in range(3 * ((g.sh_degree + 1) ** 2 - 1))]
    vertex = dataclasses.replace(header.vertex, properties=(*kept[:at], *more, *kept[at:]))
    return g, header.with_vertex(vertex)


def _layout_findings(header: Header) -> Iterator[Finding]:
    """What an ordinary file of Gaussians would not have."""
    vertex, standard = header.vertex, (*property_names(4), *_NORMALS)
    extra = [p.name for p in vertex.scalars if p.name not in standard]
    if extra:
        yield Finding("extra-property", len(extra), f"Extra properties are kept on export: {', '.join(extra)}.")
    if vertex.lists:
        names = ", ".join(p.name for p in vertex.lists)
        yield Finding("list-property", len(vertex.lists), f"List properties of the vertices are dropped: {names}.")
    for element in header.elements:
        if element is not vertex:
            sentence = f"The extra element {element.name!r} ({element.count} rows) is kept on export."
            yield Finding("extra-element", element.count, sentence)
    rounded = [p.name for p in vertex.scalars if p.name in standard and p.code != "f4"]
    if rounded:
        sentence = (
            f"Not float32 in the file, read as float32, unchanged values exported as they were: {', '.join(rounded)}."
        )
        yield Finding("other-type", len(rounded), sentence)


def _trailing(size: int) -> Iterator[Finding]:
    if size:
        yield Finding(
            "trailing-bytes", size, f"{size} bytes behind the last element belong to nothing and are dropped."
        )
