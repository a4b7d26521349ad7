"""Point clouds in PLY files: positions and colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gaussian_lens_app.errors import BadFile, FileError
from gaussian_lens_app.formats.ply_body import Body
from gaussian_lens_app.formats.ply_header import read_header


def read_points(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(P, 3) float32 positions and (P, 3) uint8 colours, grey where the file has none."""
    try:
        with open(path, "rb") as file:
            header = read_header(file, path.name)
            if header.position < 0 or not {"x", "y", "z"} <= {p.name for p in header.vertex.scalars}:
                raise BadFile(f"{path.name} has no points: its header names no vertices with x, y and z.")
            body = Body(file, header, path.name)
            for element in header.elements[: header.position]:
                body.raw(element)
            blocks = list(body.blocks(header.vertex))
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}.") from error
    table = np.concatenate(blocks) if blocks else np.zeros(0, header.vertex.dtype("<"))
    positions = np.stack([table[axis] for axis in "xyz"], 1).astype(np.float32)
    colors = np.full((len(table), 3), 128, np.uint8)
    if {"red", "green", "blue"} <= set(table.dtype.names or ()) and table["red"].dtype == np.uint8:
        colors = np.stack([table[name] for name in ("red", "green", "blue")], 1)
    finite = np.isfinite(positions).all(1)
    return positions[finite], colors[finite]
