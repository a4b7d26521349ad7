"""Writers for formats the product only reads, written down from their descriptions, for tests alone."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

from gaussian_lens_app.scene import Gaussians

SH_C0 = 0.28209479177387814


def rgba(g: Gaussians) -> np.ndarray:
    colors = (g.sh0[:, 0].numpy() * SH_C0 + 0.5) * 255
    opacities = g.opacities.numpy()[:, None] * 255
    return np.clip(np.rint(np.concatenate([colors, opacities], 1)), 0, 255).astype(np.uint8)


def write_ksplat(path: Path, sections: list[Gaussians], mode: int = 0, bucket: int = 4) -> Path:
    """GaussianSplats3D's buffer; buckets of `bucket` rows in order, 16-bit positions in blocks of side 40."""
    degree = sections[0].sh_degree
    head = bytearray(4096)
    struct.pack_into("<BB", head, 0, 0, 1)
    total = sum(map(len, sections))
    struct.pack_into("<IIIIH", head, 4, len(sections), len(sections), total, total, mode)
    struct.pack_into("<ff", head, 36, -1.5, 1.5)
    headers, bodies = b"", b""
    for g in sections:
        header, body = _ksplat_section(g, mode, degree, bucket)
        headers, bodies = headers + header, bodies + body
    path.write_bytes(bytes(head) + headers + bodies)
    return path


def _ksplat_section(g: Gaussians, mode: int, degree: int, bucket: int) -> tuple[bytes, bytes]:
    count, side, middle = len(g), 40.0, 32767
    full, partial = (count // bucket, int(count % bucket > 0)) if mode else (0, 0)
    means = g.means.numpy()
    groups = [means[i : i + bucket] for i in range(0, count, bucket)] if mode else []
    centers = np.array([group.mean(0) for group in groups], "<f4").reshape(-1, 3)
    header = bytearray(1024)
    struct.pack_into("<IIII", header, 0, count, count, bucket, len(groups))
    struct.pack_into("<fH", header, 16, side, 12 if mode else 0)
    struct.pack_into("<IIIIH", header, 24, middle if mode else 0, 0, full, partial, degree)
    body = struct.pack("<I", count % bucket) * partial + centers.tobytes()
    stored = _ksplat_harmonics(g)
    for i in range(count):
        if mode:
            fixed = np.rint((means[i] - centers[i // bucket]) / (side / 2) * middle) + middle
            body += np.clip(fixed, 0, 65535).astype("<u2").tobytes()
        else:
            body += means[i].astype("<f4").tobytes()
        real = "<f2" if mode else "<f4"
        body += g.scales[i].numpy().astype(real).tobytes() + g.quats[i].numpy().astype(real).tobytes()
        body += rgba(g)[i].tobytes()
        values = np.clip(np.rint((stored[i] + 1.5) / 3 * 255), 0, 255).astype("u1") if mode == 2 else stored[i]
        body += values.astype("u1" if mode == 2 else real).tobytes()
    return bytes(header), body


def _ksplat_harmonics(g: Gaussians) -> np.ndarray:
    """Degree by degree, red first, then green, then blue."""
    shN, parts, first = g.shN.numpy(), [], 0
    for degree in range(1, g.sh_degree + 1):
        width = 2 * degree + 1
        parts.append(shN[:, first : first + width].transpose(0, 2, 1).reshape(len(g), -1))
        first += width
    return np.concatenate(parts, 1) if parts else np.zeros((len(g), 0))


def write_gltf(path: Path, g: Gaussians, node: dict | None = None, linear: bool = True) -> Path:
    """KHR_gaussian_splatting with float accessors, as .glb or as .gltf with a .bin beside it."""
    prefix = "KHR_gaussian_splatting:"
    columns = {
        "POSITION": (g.means.numpy(), "VEC3"),
        f"{prefix}ROTATION": (np.roll((g.quats / g.quats.norm(dim=1, keepdim=True)).numpy(), -1, 1), "VEC4"),
        f"{prefix}SCALE": ((g.scales if linear else g.log_scales).numpy(), "VEC3"),
        f"{prefix}OPACITY": (g.opacities.numpy()[:, None], "SCALAR"),
        f"{prefix}SH_DEGREE_0_COEF_0": (g.sh0[:, 0].numpy(), "VEC3"),
    }
    at = 0
    for degree in range(1, g.sh_degree + 1):
        for k in range(2 * degree + 1):
            columns[f"{prefix}SH_DEGREE_{degree}_COEF_{k}"] = (g.shN[:, at].numpy(), "VEC3")
            at += 1
    binary, views, accessors = b"", [], []
    for index, (values, kind) in enumerate(columns.values()):
        data = np.ascontiguousarray(values, "<f4").tobytes()
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(data)})
        accessors.append({"bufferView": index, "componentType": 5126, "count": len(g), "type": kind})
        binary += data
    extension = {"KHR_gaussian_splatting": {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}}
    attributes = {name: index for index, name in enumerate(columns)}
    document = {
        "asset": {"version": "2.0"},
        "extensionsUsed": ["KHR_gaussian_splatting"],
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, **(node or {})}],
        "buffers": [{"byteLength": len(binary)}],
        "bufferViews": views,
        "accessors": accessors,
        "meshes": [{"primitives": [{"attributes": attributes, "mode": 0, "extensions": extension}]}],
    }
    if path.suffix == ".gltf":
        document["buffers"][0]["uri"] = path.with_suffix(".bin").name
        path.with_suffix(".bin").write_bytes(binary)
        path.write_text(json.dumps(document))
        return path
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)
    return path
