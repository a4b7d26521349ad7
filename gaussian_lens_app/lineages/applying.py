"""The next step of a scene's lineage: which Gaussians change, and the scene with their children in their place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gaussian_lens_app.lineages.predicting import (
    ALONE,
    LOWER,
    UPPER,
    Sequences,
    only,
    pair_chance,
    predict,
    pseudo_ancestors,
    sequences,
    slot_gaussians,
    weakened,
)
from gaussian_lens_app.lineages.sensitivity import most_sensitive
from gaussian_lens_app.networks.gaussian_vae import GaussianVAE, Next
from gaussian_lens_app.scene import Gaussians

Variant = Literal["targeted", "guided", "whole"]
"""targeted: the most sensitive Gaussians become two, all others stay as they are (the paper's Ours-grad^2).
guided: the most sensitive become two, all others one. whole: all change, two where the networks think so (the paper's
Ours)."""


@dataclass(frozen=True, eq=False)
class Grown:
    """A scene some steps down its lineage."""

    scene: Gaussians
    ancestors: tuple[Gaussians, ...]
    """Row by row, oldest first."""
    origins: Int[Tensor, "N"]
    """Row of the scene at the start."""
    own: Bool[Tensor, "N"]
    """May still change."""
    changed: Bool[Tensor, "N"]
    """Is no longer the Gaussian that it was at the start."""

    @staticmethod
    def start(scene: Gaussians, own: Bool[Tensor, "N"]) -> Grown:
        """Nothing has happened yet; ancestors come from merging."""
        rows = torch.arange(len(scene), device=scene.device)
        return Grown(scene, pseudo_ancestors(scene), rows, own, torch.zeros_like(own))


@dataclass(frozen=True, eq=False)
class Proposal:
    """What the networks say about the Gaussians that may change."""

    rows: Int[Tensor, "M"]
    seen: Sequences
    found: Next
    """What to put in their place."""
    chance: Float[Tensor, "M"]
    """Of becoming two."""
    shown: bool = True
    """False: the nodes as they are in lineages, however that looks."""


def propose(network: GaussianVAE, grown: Grown, shown: bool = True) -> Proposal:
    """The predicted next nodes; without `shown`, as they are in lineages, however that looks."""
    rows = grown.own.nonzero()[:, 0]
    seen = sequences(grown.scene, grown.ancestors, rows)
    answer = predict(network, seen.known)
    return Proposal(rows, seen, answer.shown if shown else answer.nodes, pair_chance(answer.nodes), shown)


def choose_pairs(
    grown: Grown, proposal: Proposal, sensitivity: Float[Tensor, "N"], variant: Variant, share: float, most: int
) -> Bool[Tensor, "M"]:
    """Which of the proposal's rows become two; at most so many, the most sensitive first."""
    if variant == "whole":
        wanted = proposal.chance > 0.5
    else:
        wanted = most_sensitive(sensitivity, share, grown.own)[proposal.rows]
    if int(wanted.sum()) <= most:
        return wanted
    ranked = torch.where(wanted, sensitivity[proposal.rows], -1.0)
    kept = torch.zeros_like(wanted)
    kept[ranked.topk(most).indices] = True
    return kept & wanted


def stepped(grown: Grown, proposal: Proposal, pairs: Bool[Tensor, "M"], others: bool, strength: float = 1.0) -> Grown:
    """The scene with pairs in the place of some Gaussians and, with `others`, a single child in that of the rest."""
    found = weakened(proposal.found, strength)
    moved = torch.zeros_like(grown.own)
    moved[proposal.rows[pairs] if not others else proposal.rows] = True
    parts, sources = [grown.scene.take(~moved)], [(~moved).nonzero()[:, 0]]
    for slot, chosen in ((ALONE, ~pairs), (LOWER, pairs), (UPPER, pairs)):
        if slot == ALONE and not others:
            continue
        rows = proposal.rows[chosen]
        nodes, like = proposal.seen.nodes.take(chosen), grown.scene.take(rows)
        parts.append(slot_gaussians(nodes, only(found, chosen), slot, like, proposal.shown))
        sources.append(rows)
    source = torch.cat(sources)
    changed = grown.changed[source].clone()
    changed[len(sources[0]) :] = True
    ancestors = tuple(level.take(source) for level in (*grown.ancestors[1:], grown.scene))
    return Grown(Gaussians.concat(parts), ancestors, grown.origins[source], grown.own[source], changed)
