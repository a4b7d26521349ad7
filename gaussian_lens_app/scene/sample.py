"""A few rows that stand for many."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor


def sample(rows: Int[Tensor, "N"], most: int) -> Int[Tensor, "M"]:
    """`rows`, or at most `most` of them, the same every time, where there are more; one may come twice.

    By chance, not at even steps: the children of one Gaussian lie side by side.
    """
    if len(rows) <= most:
        return rows
    chosen = torch.randint(len(rows), (most,), generator=torch.Generator().manual_seed(0))
    return rows[chosen.to(rows.device)]
