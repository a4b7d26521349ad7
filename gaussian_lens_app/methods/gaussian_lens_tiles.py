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
    for rows in _boxes(positions, torch.arange(len(positions), device=positions.device), largest):
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


def _boxes(positions: Tensor, rows: Int[Tensor, "M"], largest: int) -> Iterator[Int[Tensor, "M"]]:
    if len(rows) <= largest:
        yield rows
        return
    spans = positions[rows].amax(0) - positions[rows].amin(0)
    order = positions[rows, int(spans.argmax())].argsort(stable=True)
    half = len(rows) // 2
    yield from _boxes(positions, rows[order[:half]].sort().values, largest)
    yield from _boxes(positions, rows[order[half:]].sort().values, largest)
