"""What surrounds a Gaussian, in its own frame: how densely, and how colour changes from neighbour to neighbour.

A scene made from small photos is smooth; where its neighbours' colours rise along an axis, a Gaussian's finer children
will differ along that axis. That is what a bare scene still knows about detail.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import KDTree
from torch import Tensor

from gaussian_lens_app.lineages.nodes import Nodes

NEIGHBOURS = 16
CONTEXT = 38


def neighbours(
    means: Float[Tensor, "N 3"], rows: Int[Tensor, "M"] | None = None, count: int = NEIGHBOURS
) -> Int[Tensor, "M K"]:
    """The nearest others of each Gaussian (of `rows`, where given), nearest first; repeated where there are too few."""
    points = means.detach().cpu().double().numpy()
    asked = points if rows is None else points[rows.cpu().numpy()]
    most = min(count + 1, len(points))
    _, found = KDTree(points).query(asked, k=most, workers=-1)
    found = np.atleast_2d(found.reshape(len(asked), most))[:, 1 if most > 1 else 0 :]
    found = np.concatenate([found] * -(-count // found.shape[1]), 1)[:, :count]
    return torch.from_numpy(found).to(means.device)


def context(nodes: Nodes, around: Int[Tensor, "M K"], rows: Int[Tensor, "M"] | None = None) -> Float[Tensor, "M 38"]:
    """Features of each node (of `rows`, where given) from its neighbours' numbers."""
    own = nodes if rows is None else nodes.take(rows)
    scale = own.log_scales[:, 1].exp()
    offsets = (nodes.means[around] - own.means[:, None]) @ own.axes / scale[:, None, None]
    distances = offsets.norm(dim=-1)
    spacing = distances[:, :4].mean(1).clamp(1e-2, 1e2)
    difference = nodes.colours[around] - own.colours[:, None]
    wide = _weights(nodes, around, distances, spacing, 2.0)
    near = _weights(nodes, around, distances, spacing, 1.0)
    unit = offsets / spacing[:, None, None]
    return torch.cat(
        [
            own.colours - 0.5,
            own.logits[:, None] / 4,
            own.log_scales - own.log_scales[:, 1:2],
            spacing.log()[:, None],
            (near[..., None] * difference).sum(1),
            (wide[..., None] * difference).sum(1),
            _gradient(unit, difference, wide).flatten(1),
            (wide[..., None] * difference.square()).sum(1).clamp_min(1e-8).sqrt(),
            (wide[..., None] * unit).sum(1),
            (wide[..., None] * unit.square()).sum(1),
            (wide * (nodes.logits[around] - own.logits[:, None])).sum(1, keepdim=True) / 4,
            (wide[..., None] * (nodes.log_scales[around] - own.log_scales[:, None])).sum(1),
            _overlap(nodes, around, distances, scale),
        ],
        -1,
    ).clamp(-8, 8)


def _weights(nodes: Nodes, around: Tensor, distances: Tensor, spacing: Tensor, reach: float) -> Float[Tensor, "M K"]:
    """Opacity times a Gaussian of the distance; they add up to 1."""
    weights = nodes.logits[around].sigmoid() * torch.exp(-0.5 * (distances / (reach * spacing[:, None])) ** 2)
    return weights / weights.sum(1, keepdim=True).clamp_min(1e-8)


def _gradient(unit: Tensor, difference: Tensor, weights: Tensor) -> Float[Tensor, "M 3 3"]:
    """Change of each channel along each axis over a neighbour's distance, by ridge least squares."""
    weighted = unit * weights[..., None]
    normal = weighted.mT @ unit + 0.1 * torch.eye(3, device=unit.device)
    return torch.linalg.solve(normal, weighted.mT @ difference)


def _overlap(nodes: Nodes, around: Tensor, distances: Tensor, scale: Tensor) -> Float[Tensor, "M 2"]:
    """How many neighbours' Gaussians lie over this one: by their own sizes, and by its own."""
    theirs = nodes.log_scales[around][..., 1].exp() / scale[:, None]
    opacity = nodes.logits[around].sigmoid()
    by_theirs = opacity * torch.exp(-0.5 * (distances / theirs.clamp_min(1e-3)) ** 2)
    by_own = opacity * torch.exp(-0.5 * distances**2)
    return torch.stack([by_theirs.sum(1), by_own.sum(1)], -1) / 4
