"""The .splat files of web viewers: 32 bytes a Gaussian and nothing else.

Layout: antimatter15/splat (README and convert.py): position 3 x float32, scale 3 x float32 (linear), colour and opacity
4 x uint8, rotation 4 x uint8 (wxyz, 128 is zero). No header, no spherical harmonics above degree 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from gaussian_lens_app.errors import BadFile, ExportError
from gaussian_lens_app.formats.atomic import write_atomically
from gaussian_lens_app.formats.limits import read_bytes
from gaussian_lens_app.formats.packing import (
    arrays_of,
    blocks,
    log_scale,
    logit,
    new_arrays,
    normalized,
    scene_file,
    sigmoid,
    to_byte,
)
from gaussian_lens_app.formats.values import Finding, Layout, SceneFile
from gaussian_lens_app.scene import Gaussians
from gaussian_lens_app.scene.gaussians import SH_C0

NAME = "splat"
_ROW = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)])


def load_splat(path: Path) -> SceneFile:
    """The Gaussians, of degree 0."""
    data = read_bytes(path)
    if len(data) % _ROW.itemsize or not data:
        raise BadFile(
            f"{path.name} is no .splat file or is truncated: {len(data)} bytes are no multiple of {_ROW.itemsize}."
        )
    rows = np.frombuffer(data, _ROW)
    out = new_arrays(len(rows), 0)
    for block in blocks(len(rows)):
        part = rows[block]
        out.means[block] = part["mean"]
        out.log_scales[block] = log_scale(part["scale"])
        out.quats[block] = (part["quat"].astype(np.float32) - 128) / 128
        out.sh0[block, 0] = (part["rgba"][:, :3] / np.float32(255) - 0.5) / SH_C0
        out.logit_opacities[block] = logit(part["rgba"][:, 3] / 255)
    return scene_file(out.gaussians(), path, NAME)


def save_splat(
    path: Path, gaussians: Gaussians, layout: Layout | None, sources: np.ndarray, comments: Sequence[str]
) -> None:
    """Write the rows in their order."""
    if not len(gaussians):
        raise ExportError(f"{path} was not written: the scene holds no Gaussian.")
    g = arrays_of(gaussians)
    with write_atomically(path) as file:
        for block in blocks(len(gaussians)):
            rows = np.empty(block.stop - block.start, _ROW)
            rows["mean"] = g.means[block]
            with np.errstate(over="ignore"):
                rows["scale"] = np.exp(g.log_scales[block].astype(np.float64))
            rows["rgba"][:, :3] = to_byte((g.sh0[block, 0] * SH_C0 + 0.5) * 255)
            rows["rgba"][:, 3] = to_byte(sigmoid(g.logit_opacities[block]) * 255)
            rows["quat"] = to_byte(normalized(g.quats[block]) * 128 + 128)
            file.write(rows.tobytes())


def loss(g: Gaussians) -> Iterator[Finding]:
    """What the format cannot carry of a scene."""
    yield Finding(
        "rounded", len(g), "Colours, opacities and rotations are rounded to 8 bits; positions and scales stay"
    )
    colors = g.sh0[:, 0] * SH_C0 + 0.5
    beyond = int(((colors < 0) | (colors > 1)).any(1).sum())
    if beyond:
        yield Finding("clamped-color", beyond, f"{beyond} Gaussians with base colours outside 0..1 are clamped")
