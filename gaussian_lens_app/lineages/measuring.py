"""How well predicted nodes meet what came next: distances between centres, errors of appearance, the plain rivals."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from scipy.spatial import KDTree
from torch import Tensor

from gaussian_lens_app.lineages.families import slotted
from gaussian_lens_app.lineages.nodes import Nodes, split_base
from gaussian_lens_app.lineages.predicting import ALONE, LOWER, UPPER, predict, pseudo_ancestors, sequences, slot_nodes
from gaussian_lens_app.networks.gaussian_vae import GaussianVAE
from gaussian_lens_app.optimize.shape import offsets
from gaussian_lens_app.scene import Gaussians

SOLID = 0.05
"""Fainter Gaussians are no surface: they do not count in distances."""


def radius_of(points: Float[Tensor, "N 3"]) -> float:
    """Distance from the median centre that nine tenths of the points keep within; the unit of distances."""
    distances = (points - points.median(0).values).norm(dim=-1)
    return float(torch.quantile(distances[:: max(1, len(distances) // 100_000)], 0.9).clamp_min(1e-9))


def solid_centres(scene: Gaussians) -> Float[Tensor, "M 3"]:
    return scene.means[scene.opacities > SOLID]


def chamfer(first: Float[Tensor, "N 3"], second: Float[Tensor, "M 3"], unit: float) -> tuple[float, float]:
    """(mean distance from the first to the nearest of the second, and the other way), in thousandths of the unit."""
    one, other = (points.detach().cpu().double().numpy() for points in (first, second))
    there, _ = KDTree(other).query(one, distance_upper_bound=unit)
    back, _ = KDTree(one).query(other, distance_upper_bound=unit)
    mean = lambda values: float(values[values < unit].mean()) / unit * 1000  # noqa: E731
    return mean(there), mean(back)


def random_split(scene: Gaussians, seed: int = 0) -> Gaussians:
    """Every Gaussian split in two drawn from it, as 3DGS does."""
    generator = torch.Generator().manual_seed(seed)
    twice = scene.take(torch.arange(len(scene)).repeat(2))
    normal = torch.randn(twice.means.shape, generator=generator)
    return Gaussians(
        twice.means + offsets(twice, normal), twice.quats, twice.log_scales, twice.logit_opacities, twice.sh0, twice.shN
    )


def appearance_errors(
    network: GaussianVAE, scene: Gaussians, after: Gaussians, parents: Int[Tensor, "M"]
) -> dict[str, float]:
    """Mean squared error of children's colour and opacity, slot by slot: predicted, relocation split, copy of the last.

    The number of children is given to all three; ancestors come from merging, as for a bare scene.
    """
    seen = sequences(scene, pseudo_ancestors(scene))
    found = predict(network, seen.known).nodes
    slots, exists = slotted(seen.nodes, after, parents)
    sums, count = {"predicted": 0.0, "relocation-split": 0.0, "copy-last": 0.0}, 0
    for slot in (ALONE, LOWER, UPPER):
        there = exists[:, slot]
        rivals = {
            "predicted": slot_nodes(seen.nodes, found, slot, shown=False),
            "relocation-split": seen.nodes if slot == ALONE else split_base(seen.nodes),
            "copy-last": seen.nodes,
        }
        for name, nodes in rivals.items():
            sums[name] += float(_differences(nodes.take(there), slots[slot].take(there)).sum())
        count += int(there.sum())
    return {name: total / max(1, count) for name, total in sums.items()}


def _differences(first: Nodes, second: Nodes) -> Float[Tensor, "N"]:
    """Mean of the squared errors of three colour channels and the opacity."""
    colour = (first.colours - second.colours).square().sum(-1)
    return (colour + (first.logits.sigmoid() - second.logits.sigmoid()).square()) / 4
