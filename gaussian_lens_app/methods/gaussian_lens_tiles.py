"""Regions of any size: the network runs on overlapping tiles as large as those it was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

MARGIN = 0.05
"""A tile sees its neighbours' points up to this part of its own extent beyond its border."""


@dataclass(frozen=True, eq=False)
class Tile:
    """Some points of a region."""

    rows: Int[Tensor, "M"]
    """All that the network sees."""
    core: Bool[Tensor, "M"]
    """Those of them whose result counts; each point is in the core of exactly one tile."""


def tiles(positions: Float[Tensor, "N 3"], largest: int) -> Iterator[Tile]:
    """Boxes of at most `largest` points each, cut at medians along the longest axis; a margin comes on top."""
    for rows in boxes(positions, largest):
        low, high = positions[rows].amin(0), positions[rows].amax(0)
        if len(rows) == len(positions):
            yield Tile(rows, torch.ones_like(rows, dtype=torch.bool))
            return
        margin = MARGIN * (high - low).max()
        near = ((positions >= low - margin) & (positions <= high + margin)).all(-1)
        own = torch.zeros(len(positions), dtype=torch.bool, device=positions.device)
        own[rows] = True
        seen = near.nonzero()[:, 0]
        yield Tile(seen, own[seen])


def boxes(
    positions: Float[Tensor, "N 3"], largest: int, rows: Int[Tensor, "M"] | None = None
) -> Iterator[Int[Tensor, "M"]]:
    """Rows in boxes of at most `largest`, cut at medians along the longest axis; ascending in each."""
    rows = torch.arange(len(positions), device=positions.device) if rows is None else rows
    if len(rows) <= largest:
        yield rows
        return
    spans = positions[rows].amax(0) - positions[rows].amin(0)
    order = positions[rows, int(spans.argmax())].argsort(stable=True)
    half = len(rows) // 2
    yield from boxes(positions, largest, rows[order[:half]].sort().values)
    yield from boxes(positions, largest, rows[order[half:]].sort().values)
