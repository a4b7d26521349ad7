"""From a scene and its Gaussians' ancestors to what the networks see, and from what they say to children."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gaussian_lens_app.formats.frames import quaternions
from gaussian_lens_app.lineages.context import context, neighbours
from gaussian_lens_app.lineages.merging import pseudo_levels
from gaussian_lens_app.lineages.nodes import (
    Nodes,
    appearance_between,
    child,
    geometry_between,
    product,
    split_base,
    to_gaussians,
)
from gaussian_lens_app.networks.gaussian_vae import APPEARANCE, GEOMETRY, KNOWN, Answer, GaussianVAE, Known, Next
from gaussian_lens_app.scene import Gaussians

CHUNK = 512
"""Sequences the networks see at once: what fits a processor's cache."""
ALONE, LOWER, UPPER = range(3)


@dataclass(frozen=True, eq=False)
class Sequences:
    """N Gaussians, each with up to three ancestors (oldest first), and what the networks see of them."""

    nodes: Nodes
    ancestors: tuple[Nodes, ...]
    known: Known


def pseudo_ancestors(scene: Gaussians, count: int = KNOWN - 1) -> tuple[Gaussians, ...]:
    """Row by row each Gaussian's ancestors up the octree of merges, oldest first."""
    rows = torch.arange(len(scene), device=scene.device)
    found: list[Gaussians] = []
    for level, cluster in pseudo_levels(scene, count):
        rows = cluster[rows]
        found.append(level.take(rows))
    return tuple(reversed(found))


def sequences(scene: Gaussians, ancestors: Sequence[Gaussians], rows: Int[Tensor, "M"] | None = None) -> Sequences:
    """What the networks see of the scene's Gaussians (of `rows`, where given); ancestors are row by row."""
    every = Nodes.of(scene)
    rows = torch.arange(len(scene), device=scene.device) if rows is None else rows
    own = every.take(rows)
    chain = [own]
    for ancestor in reversed(ancestors[-(KNOWN - 1) :]):
        chain.append(Nodes.of(ancestor.take(rows)).turned_to(chain[-1].axes))
    around = neighbours(scene.means, rows)
    chain.reverse()
    return Sequences(own, tuple(chain[:-1]), Known(*_tokens(chain), context(every, around, rows)))


def _tokens(chain: Sequence[Nodes]) -> tuple[Float[Tensor, "N 4 11"], Float[Tensor, "N 4 50"]]:
    """Each node as its difference to the one before; the oldest to itself, those that are missing as zeros."""
    count, device = len(chain[-1]), chain[-1].means.device
    missing = KNOWN - len(chain)
    geometry = [torch.zeros(count, GEOMETRY, device=device)] * missing
    appearance = [torch.zeros(count, APPEARANCE, device=device)] * missing
    for before, node in zip([chain[0], *chain[:-1]], chain, strict=True):
        geometry.append(geometry_between(before, node))
        appearance.append(appearance_between(before, node))
    return torch.stack(geometry, 1), torch.stack(appearance, 1)


def predict(network: GaussianVAE, known: Known, threads: int = 2) -> Answer:
    """What the networks say of all sequences, without gradients."""

    def part(start: int) -> Answer:
        window = slice(start, start + CHUNK)
        with torch.no_grad():
            return network(Known(known.geometry[window], known.appearance[window], known.context[window]))

    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(part, range(0, max(1, len(known.context)), CHUNK)))
    nodes, shown = (
        Next(
            *(torch.cat([getattr(getattr(part, kind), name) for part in parts]) for name in ("geometry", "appearance"))
        )
        for kind in ("nodes", "shown")
    )
    return Answer(nodes, shown, torch.cat([part.kl for part in parts]))


def pair_chance(found: Next) -> Float[Tensor, "N"]:
    """How likely each Gaussian becomes two rather than going on alone, by both models."""
    logits = (found.geometry[..., -1] + found.appearance[..., -1]) / 2
    return torch.sigmoid((logits[:, LOWER] + logits[:, UPPER]) / 2 - logits[:, ALONE])


def slot_nodes(nodes: Nodes, found: Next, slot: int, shown: bool = True) -> Nodes:
    """The predicted node of one slot, for every sequence. Differentiable.

    What is shown starts from a split that keeps the picture, what came next in lineages from a copy of the parent.
    """
    base = split_base(nodes) if shown and slot != ALONE else nodes
    return child(base, nodes, found.geometry[:, slot], found.appearance[:, slot])


def slot_gaussians(nodes: Nodes, found: Next, slot: int, like: Gaussians, shown: bool = True) -> Gaussians:
    """The same as Gaussians; `like` are those that the nodes describe. Differentiable."""
    quats = product(quaternions(nodes.axes), found.geometry[:, slot, 3:7])
    return to_gaussians(slot_nodes(nodes, found, slot, shown), quats, like)


def only(found: Next, rows: Tensor) -> Next:
    return Next(found.geometry[rows], found.appearance[rows])


def weakened(found: Next, strength: float) -> Next:
    """Changes that go only so far, 0 to 1."""
    geometry = found.geometry * strength
    still = torch.zeros_like(geometry[..., 3:7])
    still[..., 0] = 1 - strength
    quats = torch.nn.functional.normalize(geometry[..., 3:7] + still, dim=-1)
    geometry = torch.cat([geometry[..., :3], quats, geometry[..., 7:10], found.geometry[..., 10:]], -1)
    appearance = torch.cat([found.appearance[..., :-1] * strength, found.appearance[..., -1:]], -1)
    return Next(geometry, appearance)
