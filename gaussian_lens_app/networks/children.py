"""Children of Gaussians that together look like their parent, however far they are spread."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gaussian_lens_app.networks.residuals import own_axes
from gaussian_lens_app.scene import Gaussians

LEAST_SHARE = 0.15
"""A child keeps at least this part of its parent's variance along each axis."""
OPACITY_MAX = 0.995
HALF = 0.6
"""A half stands so many standard deviations from its parent, along the longest axis."""


def children(
    parents: Gaussians, axes: Float[Tensor, "N 3 3"], order: Int[Tensor, "N 3"], moves: Float[Tensor, "N R 3"]
) -> Gaussians:
    """R Gaussians for each, moved by `moves` (world lengths along the axes, longest first); siblings stand together.

    What the spread adds to the variance the children give up, so the family keeps its parent's covariance; what that
    takes from their area is made up in opacity. Differentiable in the parents and the moves.
    """
    count = moves.shape[1]
    each, factors = alike(parents.opacities.clamp(1e-4, OPACITY_MAX), count)
    sizes = torch.gather(parents.log_scales, 1, order)
    spread = moves.var(1, correction=0) / (2 * sizes).exp()
    shrink = (1 - spread).clamp_min(LEAST_SHARE).sqrt()
    area = shrink[:, :2].prod(-1)
    opacities = (1 - (1 - each) ** (1 / area)).clamp(1e-6, OPACITY_MAX)
    log_scales = torch.gather(sizes + factors.log()[:, None] + shrink.log(), 1, order.argsort(-1))
    means = parents.means[:, None] + (axes[:, None] @ moves[..., None])[..., 0]
    repeated = parents.map(lambda tensor: tensor.repeat_interleave(count, 0))
    return Gaussians(
        means=means.flatten(0, 1),
        quats=repeated.quats,
        log_scales=log_scales.repeat_interleave(count, 0),
        logit_opacities=torch.logit(opacities).repeat_interleave(count, 0),
        sh0=repeated.sh0,
        shN=repeated.shN,
    )


def halved(parents: Gaussians) -> Gaussians:
    """Two Gaussians side by side along the longest axis in the place of each; siblings stand together."""
    axes, order = own_axes(parents)
    away = HALF * parents.scales.amax(-1)
    moves = torch.zeros(len(parents), 2, 3, device=parents.device)
    moves[:, 0, 0], moves[:, 1, 0] = away, -away
    return children(parents, axes, order, moves)


def alike(opacities: Float[Tensor, "N"], count: int) -> tuple[Float[Tensor, "N"], Float[Tensor, "N"]]:
    """(opacity of each of `count` copies at one place, factor on their scales), the picture's nearest to the original.

    3DGS-MCMC's relocation (equation 9) keeps the opacity at the centre and the integral along a line; on a picture the
    integral over the area matters more. So the scale keeps that integral, and the centre gives way a little, by what
    least squares over the profile asked for.
    """
    if count == 1:
        return opacities, torch.ones_like(opacities)
    peak = opacities * (1 - 0.16 * (1 - 1 / count) * opacities.square())
    each = 1 - (1 - peak) ** (1 / count)
    total = sum(math.comb(count, k) * (-1) ** (k + 1) * each**k / k for k in range(1, count + 1))
    return each, (opacities / total).sqrt()
