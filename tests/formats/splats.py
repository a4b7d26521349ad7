"""Gaussians and PLY files made for these tests, the files by plyfile: a second opinion on the format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from plyfile import PlyData, PlyElement

from gaussian_lens_app.scene import Gaussians

SHARED = Path(__file__).parents[3] / "shared"
"""The project's data, beside the checkout."""


def some_gaussians(count: int = 7, degree: int = 1, seed: int = 0) -> Gaussians:
    """Ordinary random Gaussians."""
    random = torch.Generator().manual_seed(seed)
    bands = (degree + 1) ** 2 - 1
    shapes = [(count, 3), (count, 4), (count, 3), (count,), (count, 1, 3), (count, bands, 3)]
    return Gaussians(*(torch.randn(shape, generator=random) for shape in shapes))


def same_bits(a: Gaussians, b: Gaussians) -> bool:
    """Whether two scenes are equal down to the sign of zero."""
    pairs = zip(a.tensors(), b.tensors(), strict=True)
    return all(x.shape == y.shape and torch.equal(x.view(torch.int32), y.view(torch.int32)) for (_, x), (_, y) in pairs)


def table_of(g: Gaussians) -> dict[str, np.ndarray]:
    """Property name -> values, written down here once more, independent of the product's code."""
    bands = g.shN.shape[1]
    table = {axis: g.means[:, i].numpy() for i, axis in enumerate("xyz")}
    table |= {f"f_dc_{c}": g.sh0[:, 0, c].numpy() for c in range(3)}
    rest = g.shN.transpose(1, 2).reshape(len(g), 3 * bands)
    table |= {f"f_rest_{i}": rest[:, i].numpy() for i in range(3 * bands)}
    table["opacity"] = g.logit_opacities.numpy()
    table |= {f"scale_{i}": g.log_scales[:, i].numpy() for i in range(3)}
    return table | {f"rot_{i}": g.quats[:, i].numpy() for i in range(4)}


def vertex_of(table: dict[str, np.ndarray]) -> PlyElement:
    """A plyfile element with the table's columns in its order and types."""
    rows = np.zeros(len(next(iter(table.values()))), [(name, values.dtype) for name, values in table.items()])
    for name, values in table.items():
        rows[name] = values
    return PlyElement.describe(rows, "vertex")


def write_ply(path: Path, *elements: PlyElement, order: str = "<", text: bool = False, comments=()) -> Path:
    PlyData(list(elements), text=text, byte_order="=" if text else order, comments=list(comments)).write(str(path))
    return path
