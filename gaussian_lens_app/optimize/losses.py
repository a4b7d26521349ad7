"""What optimisation minimises: L1 and structural dissimilarity between a render and a photo."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.optimize.ssim import l1_ssim_and_gradient

Mask = Float[Tensor, "H W"] | Bool[Tensor, "H W"]


def l1(rendered: Float[Tensor, "H W 3"], photo: Float[Tensor, "H W 3"], mask: Mask | None = None) -> Tensor:
    """Mean absolute difference, over the mask's weight where there is one."""
    difference = (rendered - photo).abs()
    if mask is None:
        return difference.mean()
    weights = mask.to(rendered.dtype)[..., None]
    return (difference * weights).sum() / (3 * weights.sum()).clamp_min(1)


def dssim(rendered: Float[Tensor, "H W 3"], photo: Float[Tensor, "H W 3"], mask: Mask | None = None) -> Tensor:
    """1 - mean SSIM, over the mask's weight where there is one; a window may reach beyond the mask."""
    return l1_dssim(rendered, photo, 1.0, mask)


def l1_dssim(
    rendered: Float[Tensor, "H W 3"], photo: Float[Tensor, "H W 3"], weight: float = 0.2, mask: Mask | None = None
) -> Tensor:
    """(1 - weight) * L1 + weight * (1 - SSIM), the loss of 3DGS (Kerbl et al. 2023, equation 7)."""
    if weight == 0:
        return l1(rendered, photo, mask)
    return _L1Dssim.apply(rendered, photo, weight, mask)  # pyright: ignore[reportReturnType]


def psnr_of_mse(mse: float) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error on a 0..1 scale, at most 100."""
    return -10 * math.log10(max(mse, 1e-10))


class _L1Dssim(torch.autograd.Function):
    """The kernel returns value and gradient together, so the gradient is kept from the forward pass."""

    @staticmethod
    def forward(ctx: Any, rendered: Tensor, photo: Tensor, weight: float, mask: Mask | None) -> Tensor:
        weights = None if mask is None else mask.to(torch.float32)
        total, gradient = l1_ssim_and_gradient(rendered, photo, 1 - weight, -weight, weights)
        count = rendered.numel() if weights is None else max(3 * float(weights.sum()), 1.0)
        ctx.save_for_backward(gradient)
        ctx.count = count
        return weight + total / count

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * (outputs[0] / ctx.count), None, None, None
