"""Reading glTF (.gltf, .glb) with KHR_gaussian_splatting.

Layout: the Khronos Group's glTF 2.0 and KHR_gaussian_splatting. Splats are POINTS primitives; rotation xyzw, opacity
linear, scale linear in the ratified extension and logarithmic in its drafts (told apart by negative values). Nodes
place them; the axes are x right, y up, z backward, and are turned to INRIA's.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import torch

from gaussian_lens_app.errors import BadFile, UnknownFormat
from gaussian_lens_app.formats.frames import RUB, swap_rub, transformed
from gaussian_lens_app.formats.limits import need, read_bytes, refuse_bombs
from gaussian_lens_app.formats.packing import Arrays, log_scale, logit, new_arrays, scene_file
from gaussian_lens_app.formats.values import Finding, SceneFile
from gaussian_lens_app.scene import Gaussians
from gaussian_lens_app.scene.gaussians import rotations

NAME = "glTF"
MAGIC = b"glTF"
EXTENSION = "KHR_gaussian_splatting"
_COMPONENTS = {"5120": "<i1", "5121": "<u1", "5122": "<i2", "5123": "<u2", "5125": "<u4", "5126": "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}
_MOST_NODES = 10_000
_MOST_PARTS = 256


class _Document:
    """The JSON and its buffers, every index checked."""

    def __init__(self, path: Path):
        self.name, self._folder = path.name, path.parent
        data = read_bytes(path)
        self.held = len(data)
        text, self._binary = self._chunks(data) if data.startswith(MAGIC) else (data, b"")
        try:
            self.json = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadFile(f"{self.name} is no glTF: its JSON cannot be read.") from error
        if not isinstance(self.json, dict) or not isinstance(self.json.get("asset"), dict):
            raise BadFile(f"{self.name} is no glTF: it states no asset.")
        self._buffers: dict[int, bytes] = {}
        self._files: dict[str, bytes] = {}

    def item(self, kind: str, index: Any) -> dict:
        """Entry `index` of one of the document's lists."""
        items = self.json.get(kind, [])
        good = isinstance(index, int) and not isinstance(index, bool) and isinstance(items, list)
        if not good or not 0 <= index < len(items) or not isinstance(items[index], dict):
            raise BadFile(f"{self.name} refers to {kind} {str(index)[:20]}, which is not there: it is damaged.")
        return items[index]

    def values(self, index: Any, widths: tuple[int, ...]) -> np.ndarray:
        """(count, width) float32 of an accessor; integers become floats as glTF's `normalized` says."""
        accessor = self.item("accessors", index)
        kinds = accessor.get("componentType"), accessor.get("type")
        code, width = _COMPONENTS.get(str(kinds[0])), _WIDTHS.get(str(kinds[1]), 0)
        count = self.whole(accessor, "count")
        if code is None or width not in widths:
            raise BadFile(f"{self.name} has an accessor of a type that does not belong there: it is damaged.")
        if "sparse" in accessor or "bufferView" not in accessor:
            raise UnknownFormat(f"{self.name} stores splats sparsely, which is not read: save them plainly.")
        view = self.item("bufferViews", accessor["bufferView"])
        buffer = self._buffer(view.get("buffer"))
        dtype = np.dtype(code)
        start = self.whole(view, "byteOffset", 0) + self.whole(accessor, "byteOffset", 0)
        stride = self.whole(view, "byteStride", width * dtype.itemsize)
        end = start + (count - 1) * stride + width * dtype.itemsize
        limit = self.whole(view, "byteOffset", 0) + self.whole(view, "byteLength")
        if count <= 0 or stride < width * dtype.itemsize or end > min(limit, len(buffer)):
            raise BadFile(f"{self.name} has an accessor of {count} values that lie outside its buffer: it is damaged.")
        found = np.ndarray((count, width), dtype, buffer, start, (stride, dtype.itemsize))
        if accessor.get("normalized") and dtype.kind in "iu":
            return np.maximum(found.astype(np.float32) / np.iinfo(dtype).max, -1)
        return found.astype(np.float32)

    def whole(self, holder: dict, key: str, default: int | None = None) -> int:
        value = holder.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 40:
            raise BadFile(f"{self.name} has {key} = {str(value)[:40]!r} where a count belongs: it is damaged.")
        return value

    def _buffer(self, index: Any) -> bytes:
        entry = self.item("buffers", index)
        if index not in self._buffers:
            data = self._load(entry.get("uri"), index)
            need(data, self.whole(entry, "byteLength"), self.name)
            self._buffers[index] = data
        return self._buffers[index]

    def _load(self, uri: Any, index: int) -> bytes:
        if uri is None and index == 0:
            return self._binary
        if not isinstance(uri, str):
            raise BadFile(f"{self.name} has a buffer without data: it is damaged.")
        if uri.startswith("data:"):
            try:
                return base64.b64decode(uri.partition(",")[2], validate=True)
            except (binascii.Error, ValueError) as error:
                raise BadFile(f"{self.name} has a buffer that is no base64: it is damaged.") from error
        part = unquote(uri)
        if part != Path(part).name or "\\" in part or "\0" in part or (self._folder / part).is_symlink():
            raise BadFile(f"{self.name} names the buffer {part[:60]!r}, which is not beside it: refused.")
        if part not in self._files:
            self._files[part] = read_bytes(self._folder / part)
            self.held += len(self._files[part])
        return self._files[part]

    def _chunks(self, data: bytes) -> tuple[bytes, bytes]:
        """(JSON, binary) of a .glb."""
        need(data, 20, self.name)
        _, version, _, length, kind = struct.unpack_from("<4sIII4s", data)
        if version != 2:
            raise UnknownFormat(f"{self.name} is glTF version {version}: only version 2 is read.")
        if kind != b"JSON" or length > len(data) - 20:
            raise BadFile(f"{self.name} is truncated in its first chunk: get a fresh copy.")
        text, rest = data[20 : 20 + length], data[20 + length :]
        if len(rest) < 8:
            return text, b""
        size, kind = struct.unpack_from("<I4s", rest)
        if kind != b"BIN\0" or size > len(rest) - 8:
            raise BadFile(f"{self.name} is truncated in its binary chunk: get a fresh copy.")
        return text, rest[8 : 8 + size]


def load_gltf(path: Path) -> SceneFile:
    """The Gaussians of all primitives with the extension, placed by their nodes and turned to INRIA's axes."""
    document = _Document(path)
    parts, findings = [], []
    placed = list(_placed(document))
    if not placed:
        raise UnknownFormat(f"{document.name} holds no splats: no primitive has the extension {EXTENSION}.")
    total = 0
    for primitive, matrix in placed:
        attributes = primitive.get("attributes")
        if not isinstance(attributes, dict):
            raise BadFile(f"{document.name} has a primitive without attributes: it is damaged.")
        arrays = _read(document, attributes)
        total += len(arrays.means)
        parts.append(_in_scene(arrays, matrix, document.name))
        refuse_bombs(document.name, document.held, total, max(part.sh_degree for part in parts))
        space = primitive["extensions"][EXTENSION].get("colorSpace", "")
        if "lin" in str(space):
            sentence = f"The file says that its colours are linear ({str(space)[:40]}); they are shown as they stand."
            findings.append(Finding("linear-colors", len(parts[-1]), sentence))
    return scene_file(Gaussians.concat(parts), path, NAME, tuple(findings))


def looks(head: bytes) -> bool:
    """Whether a file's first bytes are a .glb's, or those of a JSON with an asset."""
    return head.startswith(MAGIC) or (head.lstrip()[:1] == b"{" and b'"asset"' in head and b'"accessors"' in head)


def _in_scene(arrays: Arrays, matrix: np.ndarray, name: str) -> Gaussians:
    """The splats where their node puts them, in INRIA's axes."""
    if np.array_equal(matrix, np.eye(4)):
        swap_rub(arrays)
        return arrays.gaussians()
    if not abs(np.linalg.det(matrix[:3, :3])) > 1e-30:
        raise BadFile(f"{name} has a node that flattens its splats to nothing: it is damaged.")
    return transformed(arrays.gaussians(), RUB @ matrix[:3, :3], RUB @ matrix[:3, 3])


def _read(document: _Document, attributes: dict) -> Arrays:
    """One primitive in its own frame."""
    means = document.values(attributes.get("POSITION"), (3,))
    degree = _degree(attributes)
    refuse_bombs(document.name, document.held, len(means), degree)
    values = _Values(document, attributes, len(means))
    out = new_arrays(len(means), degree)
    out.means[:] = means
    out.quats[:] = np.roll(values.of("ROTATION", 4), 1, 1)
    scales = values.of("SCALE", 3)
    out.log_scales[:] = scales if (scales < 0).any() else log_scale(scales)
    out.logit_opacities[:] = logit(values.of("OPACITY", 1)[:, 0])
    out.sh0[:, 0] = values.of("SH_DEGREE_0_COEF_0", 3)
    bands = ((band, k) for band in range(1, degree + 1) for k in range(2 * band + 1))
    for at, (band, k) in enumerate(bands):
        out.shN[:, at] = values.of(f"SH_DEGREE_{band}_COEF_{k}", 3)
    return out


def _degree(attributes: dict) -> int:
    """Of the spherical harmonics, at most 3."""
    degree = 0
    while degree < 3 and f"{EXTENSION}:SH_DEGREE_{degree + 1}_COEF_0" in attributes:
        degree += 1
    return degree


@dataclass(frozen=True)
class _Values:
    """The extension's attributes of one primitive, each of as many values as it has splats."""

    document: _Document
    attributes: dict
    count: int

    def of(self, name: str, width: int) -> np.ndarray:
        """(count, width) float32; drafts of the extension put an underscore in the place of its name."""
        index = self.attributes.get(f"{EXTENSION}:{name}", self.attributes.get(f"_{name}"))
        if index is None:
            raise BadFile(
                f"{self.document.name} has splats without {name}: compressed ones are not read, save them plainly."
            )
        found = self.document.values(index, (width,))
        if len(found) != self.count:
            raise BadFile(
                f"{self.document.name} has {len(found)} values of {name} for {self.count} splats: it is damaged."
            )
        return found


def _placed(document: _Document) -> Iterator[tuple[dict, np.ndarray]]:
    """(primitive, 4x4 matrix to the scene) for each primitive of splats that a node shows."""
    nodes = document.json.get("nodes", [])
    nodes = nodes if isinstance(nodes, list) else []
    children = {child for node in nodes for child in _children(node)}
    roots = [index for index in range(len(nodes)) if index not in children]
    stack = [(index, np.eye(4), 0) for index in reversed(roots)]
    visited = shown = 0
    while stack:
        index, matrix, depth = stack.pop()
        visited += 1
        if visited > _MOST_NODES or depth > 100:
            raise BadFile(f"{document.name} has nodes without end: it is damaged.")
        node = document.item("nodes", index)
        matrix = matrix @ _matrix(node, document.name)
        stack += [(child, matrix, depth + 1) for child in _children(node)]
        for primitive in _splats(document, node):
            shown += 1
            if shown > _MOST_PARTS:
                raise BadFile(f"{document.name} has more than {_MOST_PARTS} parts with splats: refused.")
            yield primitive, matrix


def _children(node: Any) -> list[int]:
    found = node.get("children") if isinstance(node, dict) else None
    return [child for child in found if isinstance(child, int)] if isinstance(found, list) else []


def _splats(document: _Document, node: dict) -> Iterator[dict]:
    if "mesh" not in node:
        return
    primitives = document.item("meshes", node["mesh"]).get("primitives", [])
    for primitive in primitives if isinstance(primitives, list) else []:
        extensions = primitive.get("extensions") if isinstance(primitive, dict) else None
        if isinstance(extensions, dict) and isinstance(extensions.get(EXTENSION), dict):
            yield primitive


def _matrix(node: dict, name: str) -> np.ndarray:
    """4x4: glTF's column-major matrix, or translation, rotation (xyzw) and scale."""
    if "matrix" in node:
        return _floats(node, "matrix", 16, name).reshape(4, 4).T
    moved, turned, scaled = np.eye(4), np.eye(4), np.eye(4)
    if "translation" in node:
        moved[:3, 3] = _floats(node, "translation", 3, name)
    if "rotation" in node:
        quaternion = np.roll(_floats(node, "rotation", 4, name), 1)
        if not np.linalg.norm(quaternion) > 1e-12:
            raise BadFile(f"{name} has a node with a zero rotation: it is damaged.")
        turned[:3, :3] = rotations(torch.from_numpy(quaternion[None]))[0].numpy()
    if "scale" in node:
        scaled[[0, 1, 2], [0, 1, 2]] = _floats(node, "scale", 3, name)
    return moved @ turned @ scaled


def _floats(node: dict, key: str, count: int, name: str) -> np.ndarray:
    try:
        values = np.array(node[key], np.float64)
    except (TypeError, ValueError, OverflowError):
        values = np.empty(0)
    if values.shape != (count,) or not (np.abs(values) < 1e30).all():
        raise BadFile(f"{name} has a node whose {key} is no list of {count} numbers: it is damaged.")
    return values
