"""Gaussians as nodes of a lineage: each described in the frame of the one before it."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.formats.frames import quaternions
from gaussian_lens_app.networks.relocation import relocated
from gaussian_lens_app.scene import SH_C0, Gaussians
from gaussian_lens_app.scene.gaussians import rotations

GEOMETRY = 11
"""position 3, rotation 4, scale 3, exist 1"""
APPEARANCE = 50
"""spherical harmonics 45, colour 3, opacity 1, exist 1"""
BANDS = 15
"""Spherical harmonics above the constant, up to degree 3."""
THINNEST = 0.25
"""Positions are in units of each axis's standard deviation, at least this part of the middle axis's."""
FAR = 4.0
"""Differences beyond this are cut: a merged ancestor may be anywhere."""


@dataclass(frozen=True, eq=False)
class Nodes:
    """N Gaussians with axes sorted or turned so that neighbours in a lineage can be compared."""

    means: Float[Tensor, "N 3"]
    axes: Float[Tensor, "N 3 3"]
    """Columns, right-handed."""
    log_scales: Float[Tensor, "N 3"]
    """Of the axes, in their order."""
    logits: Float[Tensor, "N"]
    colours: Float[Tensor, "N 3"]
    sh: Float[Tensor, "N 15 3"]

    @staticmethod
    def of(scene: Gaussians) -> Nodes:
        """Axes longest first."""
        order = scene.log_scales.argsort(stable=True, dim=-1, descending=True)
        axes = torch.gather(rotations(scene.quats), 2, order[:, None, :].expand(-1, 3, -1))
        axes = torch.cat([axes[..., :2], axes[..., 2:] * torch.linalg.det(axes).sign()[:, None, None]], -1)
        sh = scene.shN[:, :BANDS]
        sh = torch.nn.functional.pad(sh, (0, 0, 0, BANDS - sh.shape[1]))
        colours = scene.sh0[:, 0] * SH_C0 + 0.5
        return Nodes(
            scene.means, axes, torch.gather(scene.log_scales, 1, order), scene.logit_opacities.clamp(-8, 8), colours, sh
        )

    def take(self, rows: Tensor) -> Nodes:
        return Nodes(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def __len__(self) -> int:
        return len(self.means)

    def turned_to(self, axes: Float[Tensor, "N 3 3"]) -> Nodes:
        """The same ellipsoids with their axes renamed to be as near as can be to others."""
        turns = _axis_turns().to(axes)
        towards = axes.mT @ self.axes
        best = torch.einsum("nij,kji->nk", towards, turns).argmax(1)
        turn = turns[best]
        log_scales = (turn.abs().mT @ self.log_scales[..., None])[..., 0]
        return Nodes(self.means, self.axes @ turn, log_scales, self.logits, self.colours, self.sh)

    @property
    def units(self) -> Float[Tensor, "N 3"]:
        """World lengths that offsets along the axes are measured in."""
        scales = self.log_scales.exp()
        return torch.maximum(scales, THINNEST * scales.median(-1, keepdim=True).values)


@functools.cache
def _axis_turns() -> Float[Tensor, "24 3 3"]:
    """The rotations that carry axes onto axes."""
    found = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            matrix = torch.eye(3)[:, list(order)] * torch.tensor(signs)
            if torch.linalg.det(matrix) > 0:
                found.append(matrix)
    return torch.stack(found)


def geometry_between(first: Nodes, then: Nodes, units: Float[Tensor, "N 3"] | None = None) -> Float[Tensor, "N 11"]:
    """What changed from one node to the next, in the frame of the first and, unless given, its units; it exists."""
    units = first.units if units is None else units
    offset = (first.axes.mT @ (then.means - first.means)[..., None])[..., 0] / units
    turn = quaternions((first.axes.mT @ then.axes).contiguous())
    turn = turn * torch.where(turn[:, :1] < 0, -1.0, 1.0)
    scale = (then.log_scales - first.log_scales).clamp(-FAR, FAR)
    return torch.cat([offset.clamp(-FAR, FAR), turn, scale, torch.ones_like(offset[:, :1])], -1)


def appearance_between(first: Nodes, then: Nodes) -> Float[Tensor, "N 50"]:
    """What changed from one node to the next; it exists."""
    logit = (then.logits - first.logits).clamp(-FAR, FAR)
    sh, colour = (then.sh - first.sh).flatten(1), then.colours - first.colours
    return torch.cat([sh, colour, logit[:, None], torch.ones_like(logit[:, None])], -1).clamp(-FAR, FAR)


def split_base(nodes: Nodes) -> Nodes:
    """Each of two Gaussians that together look like the one (3DGS-MCMC's relocation)."""
    opacities, factors = relocated(nodes.logits.sigmoid(), 2)
    return Nodes(
        nodes.means,
        nodes.axes,
        nodes.log_scales + factors.log()[:, None],
        torch.logit(opacities, eps=1e-5),
        nodes.colours,
        nodes.sh,
    )


def child(base: Nodes, parent: Nodes, geometry: Float[Tensor, "N 11"], appearance: Float[Tensor, "N 50"]) -> Nodes:
    """`base` changed as a prediction says; never larger than the parent along any axis. Differentiable."""
    means = base.means + (parent.axes @ (geometry[:, :3] * parent.units)[..., None])[..., 0]
    log_scales = torch.minimum(base.log_scales + geometry[:, 7:10], parent.log_scales)
    return Nodes(
        means,
        parent.axes @ rotations(geometry[:, 3:7]),
        log_scales,
        base.logits + appearance[:, 48],
        base.colours + appearance[:, 45:48],
        base.sh + appearance[:, :45].view(-1, BANDS, 3),
    )


def to_gaussians(nodes: Nodes, quats: Float[Tensor, "N 4"], like: Gaussians) -> Gaussians:
    """An ordinary scene of the nodes, rotations given as quaternions; bands that nodes do not have from `like`."""
    bands = min(BANDS, like.shN.shape[1])
    shN = torch.cat([nodes.sh[:, :bands], like.shN[:, bands:]], 1)
    return Gaussians(nodes.means, quats, nodes.log_scales, nodes.logits, (nodes.colours[:, None] - 0.5) / SH_C0, shN)


def product(first: Float[Tensor, "N 4"], second: Float[Tensor, "N 4"]) -> Float[Tensor, "N 4"]:
    """Quaternion of the second rotation followed by the first."""
    w, x, y, z = first.unbind(-1)
    a, b, c, d = second.unbind(-1)
    rows = [
        w * a - x * b - y * c - z * d,
        w * b + x * a + y * d - z * c,
        w * c - x * d + y * a + z * b,
        w * d + x * c - y * b + z * a,
    ]
    return torch.stack(rows, -1)
