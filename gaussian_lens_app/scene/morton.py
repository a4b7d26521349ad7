"""Places on the Morton (Z-order) curve, along which neighbours in space stand near each other."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

BITS = 16
"""Grid cells per axis are at most 2^16."""
SAMPLE = 65_536


def morton_codes(cells: Int[Tensor, "N 3"]) -> Int[Tensor, "N"]:
    """Interleaved bits of the three cell numbers, x lowest."""
    codes = torch.zeros(len(cells), dtype=torch.int64, device=cells.device)
    for axis in range(3):
        codes |= _spread(cells[:, axis].long().clamp(0, 2**BITS - 1)) << axis
    return codes


def even_cells(points: Float[Tensor, "N 3"], side: int) -> Int[Tensor, "N 3"]:
    """Cells of a grid whose slabs along each axis hold about as many points each.

    Scenes have a few points very far away; a regular grid around those would put all the others into one cell.
    """
    sample = points[:: max(1, len(points) // SAMPLE)]
    marks = torch.linspace(0, 1, side + 1, device=points.device)[1:-1]
    columns = [
        torch.bucketize(points[:, axis].contiguous(), sample[:, axis].contiguous().quantile(marks)) for axis in range(3)
    ]
    return torch.stack(columns, 1)


def _spread(values: Int[Tensor, "N"]) -> Int[Tensor, "N"]:
    """The lowest 16 bits, two zeros before each."""
    for shift, mask in ((16, 0x0000FF0000FF), (8, 0x00F00F00F00F), (4, 0x0C30C30C30C3), (2, 0x249249249249)):
        values = (values | (values << shift)) & mask
    return values
