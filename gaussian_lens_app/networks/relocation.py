"""Opacity and size of K Gaussians that together look like one (3DGS-MCMC, Kheradmand et al. 2024, equation 9)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

LARGEST = 16
"""Beyond this the alternating binomials cancel too badly."""


def relocated(opacities: Float[Tensor, "N"], count: int) -> tuple[Float[Tensor, "N"], Float[Tensor, "N"]]:
    """(opacity of each of `count` copies at the same place, factor on their scales); identity for 1."""
    if not 1 <= count <= LARGEST:
        raise ValueError(f"K must be 1 to {LARGEST}, not {count}")
    if count == 1:
        return opacities, torch.ones_like(opacities)
    alpha = opacities.double()
    each = 1 - (1 - alpha) ** (1 / count)
    total = together(each, count).clamp_min(1e-12)
    return each.to(opacities.dtype), (alpha / total).to(opacities.dtype)


def together(each: Float[Tensor, "N"], count: int) -> Float[Tensor, "N"]:
    """sum_{i=1..n} sum_{k<i} C(i-1, k) (-1)^k / sqrt(k + 1) o^(k+1): what `count` equal Gaussians of opacity o at one
    place blend to along a line, in units of a Gaussian of opacity 1. In single precision it cancels."""
    total = torch.zeros_like(each)
    for i in range(1, count + 1):
        for k in range(i):
            total += math.comb(i - 1, k) * (-1) ** k * each ** (k + 1) / math.sqrt(k + 1)
    return total
