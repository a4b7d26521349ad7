"""Training examples: sequences of known nodes with the children that came next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gaussian_lens_app.lineages.growing import Level
from gaussian_lens_app.lineages.merging import merged, pseudo_levels
from gaussian_lens_app.lineages.nodes import Nodes, appearance_between, geometry_between
from gaussian_lens_app.lineages.predicting import ALONE, LOWER, UPPER, pseudo_ancestors, sequences
from gaussian_lens_app.networks.gaussian_vae import KNOWN, SLOTS, Known
from gaussian_lens_app.scene import Gaussians

Kind = Literal["true", "mixed", "pseudo"]
"""Ancestors and children from growing; ancestors from merging, children from growing (what a bare scene looks like);
both from merging."""


@dataclass(frozen=True, eq=False)
class Families:
    """N sequences and what came next, in the networks' own terms; which slots there are says `exists`."""

    known: Known
    geometry: Float[Tensor, "N 3 11"]
    appearance: Float[Tensor, "N 3 50"]
    base_logits: Float[Tensor, "N 3"]
    """Logit opacities that the slots' changes are added to."""
    exists: Bool[Tensor, "N 3"]
    observed: Bool[Tensor, "N"]
    """False where the only child is the parent itself, merged with nobody: its values say nothing."""
    judged: Bool[Tensor, "N"]
    """True where density control chose how many children there are; merging does not choose."""

    def __len__(self) -> int:
        return len(self.exists)

    def map(self, function) -> Families:
        known = Known(*(function(getattr(self.known, name)) for name in ("geometry", "appearance", "context")))
        rest = (self.geometry, self.appearance, self.base_logits, self.exists, self.observed, self.judged)
        return Families(known, *(function(tensor) for tensor in rest))


def families(levels: tuple[Level, ...], number: int, kind: Kind, limited: bool, rows: int, seed: int) -> Families:
    """Examples whose parents are Gaussians of level `number` (at most `rows`), with its pixel filter in them or not."""
    chosen = [level.limited if limited else level.scene for level in levels]
    scene = chosen[number]
    if kind == "pseudo":
        (parent, cluster), *_ = pseudo_levels(scene, 1)
        return _families(parent, pseudo_ancestors(parent), scene, cluster, rows, seed, made=True)
    ancestors = pseudo_ancestors(scene) if kind == "mixed" else _true_ancestors(levels, chosen, number)
    return _families(scene, ancestors, chosen[number + 1], levels[number + 1].parents, rows, seed)


def _true_ancestors(levels: tuple[Level, ...], scenes: list[Gaussians], number: int) -> tuple[Gaussians, ...]:
    found, rows = [], torch.arange(len(scenes[number]))
    for above in range(number, max(0, number - KNOWN + 1), -1):
        rows = levels[above].parents[rows]
        found.append(scenes[above - 1].take(rows))
    return tuple(reversed(found))


def _families(
    scene: Gaussians,
    ancestors: tuple[Gaussians, ...],
    children: Gaussians,
    parents: Int[Tensor, "M"],
    rows: int,
    seed: int,
    made: bool = False,
) -> Families:
    generator = torch.Generator().manual_seed(seed)
    some = torch.randperm(len(scene), generator=generator)[:rows].sort().values
    seen = sequences(scene, ancestors, some)
    slots, exists = slotted(Nodes.of(scene), children, parents)
    geometry, appearance, base_logits = [], [], []
    base = seen.nodes
    for nodes in slots:
        then = nodes.take(some).turned_to(seen.nodes.axes)
        geometry.append(geometry_between(base, then, seen.nodes.units))
        appearance.append(appearance_between(base, then))
        base_logits.append(base.logits)
    stacked = (torch.stack(values, 1) for values in (geometry, appearance, base_logits))
    exists = exists[some]
    observed = ~exists[:, ALONE] if made else torch.ones(len(some), dtype=torch.bool)
    geometries, appearances, logits = stacked
    return Families(seen.known, geometries, appearances, logits, exists, observed, torch.full((len(some),), not made))


def slotted(
    parent: Nodes, children: Gaussians, parents: Int[Tensor, "M"]
) -> tuple[tuple[Nodes, Nodes, Nodes], Bool[Tensor, "N 3"]]:
    """(for every parent the node in each slot, which slots there are); more than two children are merged into two.

    A single child stands alone; of two, the lower along the parent's longest axis comes first. Slots that are not there
    hold some other Gaussian.
    """
    count = len(parent)
    sizes = torch.bincount(parents, minlength=count)
    along = ((children.means - parent.means[parents]) * parent.axes[parents, :, 0]).sum(-1)
    order = along.argsort(stable=True)
    order = order[parents[order].argsort(stable=True)]
    firsts = sizes.cumsum(0) - sizes
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order)) - firsts[parents[order]]
    upper = rank >= (sizes[parents] + 1) // 2
    cluster, back = (2 * parents + upper).unique(return_inverse=True)
    halves = Nodes.of(merged(children, back, len(cluster)))
    place = torch.zeros(2 * count, dtype=torch.long)
    place[cluster] = torch.arange(len(cluster))
    exists = torch.zeros(count, SLOTS, dtype=torch.bool)
    exists[:, ALONE] = sizes == 1
    exists[:, LOWER] = exists[:, UPPER] = sizes >= 2
    lower, higher = halves.take(place[0::2]), halves.take(place[1::2])
    return (lower, lower, higher), exists
