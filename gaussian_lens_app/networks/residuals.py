"""What the network changes about a Gaussian, in that Gaussian's own frame, and how it is put into effect."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gaussian_lens_app.networks.relocation import relocated
from gaussian_lens_app.scene import SH_C0, Gaussians
from gaussian_lens_app.scene.gaussians import rotations


@dataclass(frozen=True, eq=False)
class Residuals:
    """K changes of each of N Gaussians, axes in the order longest to shortest."""

    mean: Float[Tensor, "N K 3"]
    """In units of the Gaussian's scales, along its axes."""
    log_scale: Float[Tensor, "N K 3"]
    turn: Float[Tensor, "N K 3"]
    """Radians about its axes."""
    logit: Float[Tensor, "N K"]
    colour: Float[Tensor, "N K 3"]
    keep: Float[Tensor, "N K"] | None = None
    """What is drawn of each, 0 or 1, while learning with a straight-through gradient; None: all exist."""

    def only(self, rows: Bool[Tensor, "N"]) -> Residuals:
        """No change elsewhere."""
        none = lambda tensor: tensor * rows.view(-1, *[1] * (tensor.dim() - 1))  # noqa: E731
        keep = None if self.keep is None else torch.where(rows[:, None], self.keep, 1.0)
        return Residuals(
            none(self.mean), none(self.log_scale), none(self.turn), none(self.logit), none(self.colour), keep
        )


def own_axes(scene: Gaussians) -> tuple[Float[Tensor, "P 3 3"], Int[Tensor, "P 3"]]:
    """(columns are each Gaussian's axes from longest to shortest, which of the stored axes each one is)."""
    order = scene.log_scales.argsort(-1, descending=True)
    axes = rotations(scene.quats)
    return torch.gather(axes, 2, order[:, None].expand(-1, 3, -1)), order


def copies(scene: Gaussians, count: int) -> Gaussians:
    """Each Gaussian `count` times in a row, opacities and scales so that together they look the same."""
    if count == 1:
        return scene
    opacities, factors = relocated(scene.opacities, count)
    scene = dataclasses.replace(
        scene,
        logit_opacities=torch.logit(opacities, eps=1e-6),
        log_scales=scene.log_scales + factors.log()[:, None],
    )
    return scene.map(lambda tensor: tensor.repeat_interleave(count, 0))


def applied(
    scene: Gaussians, axes: Float[Tensor, "N 3 3"], order: Int[Tensor, "N 3"], residuals: Residuals
) -> Gaussians:
    """N * K Gaussians; differentiable in the residuals. Higher bands of colour stay as they are."""
    count = residuals.mean.shape[1]
    base = copies(scene, count)
    axes, order = axes.repeat_interleave(count, 0), order.repeat_interleave(count, 0)
    flat = lambda tensor: tensor.reshape(-1, *tensor.shape[2:])  # noqa: E731
    back = order.argsort(-1)
    scales = torch.gather(scene.log_scales.repeat_interleave(count, 0), 1, order).exp()
    means = base.means + (axes @ (flat(residuals.mean) * scales)[..., None])[..., 0]
    log_scales = base.log_scales + torch.gather(flat(residuals.log_scale), 1, back)
    quats = turned(base.quats, torch.gather(flat(residuals.turn), 1, back))
    logits = base.logit_opacities + residuals.logit.reshape(-1)
    if residuals.keep is not None:
        opacities = logits.sigmoid() * residuals.keep.reshape(-1)
        logits = torch.logit(opacities, eps=1e-6)
    sh0 = base.sh0 + flat(residuals.colour)[:, None] / SH_C0
    return Gaussians(means, quats, log_scales, logits, sh0, base.shN)


def turned(quats: Float[Tensor, "N 4"], turns: Float[Tensor, "N 3"]) -> Float[Tensor, "N 4"]:
    """Unit quaternions turned by small angles about their own axes: q * (1, turn / 2), normalised."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    a, b, c = (turns / 2).unbind(-1)
    product = torch.stack(
        [w - x * a - y * b - z * c, x + w * a + y * c - z * b, y + w * b + z * a - x * c, z + w * c + x * b - y * a], -1
    )
    return torch.nn.functional.normalize(product, dim=-1)
