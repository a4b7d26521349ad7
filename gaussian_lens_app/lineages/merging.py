"""Pseudo-lineages: a bare scene's Gaussians merged pair by pair up an octree, so that every leaf has ancestors.

Centres are sorted along a Morton curve; neighbours on it that share a longer prefix with each other than with anyone
else are siblings in the octree's binary form (one axis halved at a time) and become one Gaussian with their mass, mean
and covariance. Where the tree is dense it is climbed in small steps, so no cell size has to be chosen.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gaussian_lens_app.formats.frames import quaternions
from gaussian_lens_app.scene import Gaussians
from gaussian_lens_app.scene.gaussians import rotations

BITS = 20
"""Per axis of the Morton code."""
ROUNDS = 2
"""Rounds of pairing a level: about half of the Gaussians remain, as between resolutions that differ by a half."""
LEAST_SIGMA = 1e-3
"""Of a merged Gaussian's axes, as a part of its longest."""
OPACITY_MAX = 0.99


def pseudo_levels(scene: Gaussians, count: int) -> list[tuple[Gaussians, Int[Tensor, "N"]]]:
    """`count` coarser scenes, the nearest first, each with the row that every Gaussian of the level below went to."""
    levels = []
    for _ in range(count):
        cluster = siblings(scene.means, ROUNDS)
        scene = merged(scene, cluster)
        levels.append((scene, cluster))
    return levels


def siblings(means: Float[Tensor, "N 3"], rounds: int) -> Int[Tensor, "N"]:
    """For each point the number of its subtree after so many rounds of joining octree siblings."""
    codes, order = octree_codes(means).sort()
    place = torch.arange(len(means), device=means.device)
    for _ in range(rounds):
        first = _pair_starts(codes)
        keep = torch.ones_like(first)
        keep[1:] = ~first[:-1]
        place = (keep.cumsum(0) - 1)[place]
        codes = codes[keep]
    cluster = torch.empty_like(place)
    cluster[order] = place
    return cluster


def octree_codes(means: Float[Tensor, "N 3"]) -> Int[Tensor, "N"]:
    """Interleaved bits of the centres' cells; the few far away share the cells at the border."""
    some = means[:: max(1, len(means) // 100_000)]
    low, high = (torch.quantile(some, share, dim=0) for share in (0.005, 0.995))
    margin = 0.1 * (high - low).amax() + 1e-9
    size = ((high - low).amax() + 2 * margin) / (2**BITS - 1)
    cells = ((means - low + margin) / size).clamp(0, 2**BITS - 1).long()
    codes = torch.zeros(len(means), dtype=torch.long, device=means.device)
    for bit in range(BITS):
        for axis in range(3):
            codes |= ((cells[:, axis] >> bit) & 1) << (3 * bit + axis)
    return codes


def _pair_starts(codes: Int[Tensor, "N"]) -> Bool[Tensor, "N"]:
    """Which sorted codes are nearer to the next one than either is to anyone else; of equals the first."""
    gaps = codes[1:] ^ codes[:-1]
    far = torch.full((1,), torch.iinfo(torch.long).max, device=codes.device)
    before, after = torch.cat([far, gaps[:-1]]), torch.cat([gaps[1:], far])
    starts = torch.zeros(len(codes), dtype=torch.bool, device=codes.device)
    starts[:-1] = (gaps < before) & (gaps <= after)
    return starts


def merged(scene: Gaussians, cluster: Int[Tensor, "N"], count: int | None = None) -> Gaussians:
    """One Gaussian a cluster: mean and covariance of its members by mass, the mass kept.

    Mass is opacity times the area of the two longest axes: splats are surfaces, their thickness shows in no picture.
    """
    count = (int(cluster.max()) + 1 if len(cluster) else 0) if count is None else count
    mass = scene.opacities * _areas(scene.log_scales) + 1e-20
    total = torch.zeros(count, device=mass.device).index_add(0, cluster, mass)
    share = mass / total[cluster]

    def mean(values: Tensor) -> Tensor:
        weighted = values * share.view(-1, *[1] * (values.dim() - 1))
        return torch.zeros(count, *values.shape[1:], device=values.device).index_add(0, cluster, weighted)

    means = mean(scene.means)
    offsets = scene.means - means[cluster]
    axes = rotations(scene.quats) * scene.scales[:, None, :]
    covariances = mean(axes @ axes.mT + offsets[:, :, None] * offsets[:, None, :])
    quats, log_scales = _principal(covariances)
    opacities = (total / _areas(log_scales).clamp_min(1e-20)).clamp(1e-4, OPACITY_MAX)
    found = Gaussians(means, quats, log_scales, torch.logit(opacities), mean(scene.sh0), mean(scene.shN))
    return _unmerged_as_they_were(found, scene, cluster)


def _unmerged_as_they_were(found: Gaussians, scene: Gaussians, cluster: Int[Tensor, "N"]) -> Gaussians:
    """Clusters of one keep their member's very values."""
    sizes = torch.bincount(cluster, minlength=len(found))
    alone = sizes[cluster] == 1
    values = {}
    for (name, new), (_, old) in zip(found.tensors(), scene.tensors(), strict=True):
        new = new.clone()
        new[cluster[alone]] = old[alone]
        values[name] = new
    return Gaussians(**values)


def _areas(log_scales: Float[Tensor, "N 3"]) -> Float[Tensor, "N"]:
    return (log_scales.sum(-1) - log_scales.amin(-1)).exp()


def _principal(covariances: Float[Tensor, "M 3 3"]) -> tuple[Float[Tensor, "M 4"], Float[Tensor, "M 3"]]:
    """(rotation, log standard deviations) of covariance matrices, longest axis first."""
    unit = covariances.diagonal(dim1=-2, dim2=-1).sum(-1).clamp_min(1e-30)
    values, vectors = torch.linalg.eigh(covariances.double() / unit[:, None, None])
    vectors = vectors.flip(-1)
    vectors[..., 2] *= torch.linalg.det(vectors).sign()[:, None]
    variances = values.flip(-1)
    variances = variances.clamp_min(LEAST_SIGMA**2 * variances[:, :1])
    log_scales = 0.5 * (variances.log() + unit.double().log()[:, None])
    return quaternions(vectors.float()), log_scales.float()
