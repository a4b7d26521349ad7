"""Numbers as colours."""

from __future__ import annotations

import functools

import torch
from jaxtyping import Float
from torch import Tensor


@functools.cache
def _table(name: str) -> Float[Tensor, "256 3"]:
    import matplotlib

    return torch.tensor(matplotlib.colormaps[name](torch.linspace(0, 1, 256).numpy())[:, :3], dtype=torch.float32)


def colored(values: Float[Tensor, "*B"], name: str = "turbo") -> Float[Tensor, "*B 3"]:
    """Values in 0..1 as colours of one of matplotlib's maps."""
    index = (values.clamp(0, 1) * 255).round().long()
    return _table(name).to(values.device)[index]


def stretched(values: Float[Tensor, "h w"], valid: Tensor) -> Float[Tensor, "h w"]:
    """Values spread over 0..1 between their 2nd and 98th percentile, so that a stray one does not flatten the rest."""
    if not bool(valid.any()):
        return torch.zeros_like(values)
    sample = values[valid]
    sample = sample[:: max(1, len(sample) // 100_000)]
    low, high = torch.quantile(sample, torch.tensor([0.02, 0.98], device=values.device))
    return ((values - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
