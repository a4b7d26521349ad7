"""Renders of a region into its photos, and the gradients of the rendering loss in each Gaussian's own frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.methods.targets import Target
from gaussian_lens_app.networks.residuals import own_axes
from gaussian_lens_app.raster import Rasterizer, Render, RenderMode
from gaussian_lens_app.scene import SH_C0, Gaussians

RING_WEIGHT = 0.1
"""Weight of a window's pixels outside the region's mask."""


@dataclass(frozen=True, eq=False)
class Look:
    """A scene in one window."""

    render: Render
    gradients: Float[Tensor, "P 14"]
    """Descent directions of half the squared residual, divided by the blending weight; see `look`. In order: mean (3),
    log scale (3), rotation (3), logit, colour (3), squared residual."""
    weights: Float[Tensor, "P"]
    """Blending weight in the window, pixels."""
    screen: Float[Tensor, "P 4"] | None = None
    """Where asked for: derivative of half the squared residual to each centre on the picture, per pixel; signed x and
    y, then the sums over pixels of its absolute values."""


def look(
    frozen: Gaussians,
    moving: Gaussians,
    window: Target,
    rasterizer: Rasterizer,
    mode: RenderMode,
    *,
    screen: bool = False,
) -> Look:
    """The window drawn, and what would make each moving Gaussian fit the photo better.

    Per Gaussian: the negative gradient of 1/2 sum |residual|^2 to its mean in units of its scales along its axes
    (longest first), to its log scales, to a rotation about each axis, to its logit and its colour, each over its
    blending weight, so that the colour's is the mean residual it covers. Last the mean squared residual it covers.
    """
    leaves = moving.map(lambda tensor: tensor.detach().clone().requires_grad_())
    count = len(moving)
    trainable = torch.arange(len(frozen) + count, device=moving.device) >= len(frozen)
    # Zero features add nothing to the picture, and their gradient is the sum of blending weights times the pixels' own.
    probes = torch.zeros(len(trainable), 2, device=moving.device, requires_grad=True)
    centres = torch.zeros(len(trainable), 4, device=moving.device, requires_grad=True) if screen else None
    with torch.enable_grad():
        scene = Gaussians.concat([frozen, leaves])
        render = rasterizer.render(
            scene, window.camera, mode=mode, crop=window.rect, features=probes, probe=centres, trainable=trainable
        )
        weight = torch.where(window.mask, 1.0, RING_WEIGHT)
        squared = (render.rgb - window.photo).square()
        assert render.features is not None
        loss = 0.5 * (weight[..., None] * squared).sum() + (weight * render.features[..., 0]).sum()
        loss = loss + (weight * squared.detach().mean(-1) * render.features[..., 1]).sum()
        names = [name for name, tensor in leaves.tensors() if tensor.numel() and name != "shN"]
        asked = [*(getattr(leaves, name) for name in names), probes, *([] if centres is None else [centres])]
        found = torch.autograd.grad(loss, asked)
    gradients = dict(zip(names, found, strict=False))
    weights, energy = found[len(names)][len(frozen) :].unbind(-1)
    on_screen = found[-1][len(frozen) :] if screen else None
    return Look(_detached(render), _natural(moving, gradients, weights, energy), weights, on_screen)


def _natural(moving: Gaussians, gradients: dict[str, Tensor], weights: Tensor, energy: Tensor) -> Float[Tensor, "P 14"]:
    axes, order = own_axes(moving)
    scales = torch.gather(moving.log_scales, 1, order).exp()
    mean = (axes.mT @ gradients["means"][..., None])[..., 0] * scales
    scale = torch.gather(gradients["log_scales"], 1, order)
    turn = torch.gather(_turns(moving.quats, gradients["quats"]), 1, order)
    colour = gradients["sh0"][:, 0] / SH_C0
    steps = -torch.cat([mean, scale, turn, gradients["logit_opacities"][:, None], colour], -1)
    return torch.cat([steps, energy[:, None]], -1) / weights.clamp_min(1e-3)[:, None] * (weights > 1e-3)[:, None]


def _turns(quats: Float[Tensor, "P 4"], gradient: Float[Tensor, "P 4"]) -> Float[Tensor, "P 3"]:
    """Gradient to a small rotation about each own axis: d(q * (1, turn / 2)) / d(turn)."""
    w, x, y, z = quats.unbind(-1)
    about_x = torch.stack([-x, w, z, -y], -1)
    about_y = torch.stack([-y, -z, w, x], -1)
    about_z = torch.stack([-z, y, -x, w], -1)
    return 0.5 * torch.stack([(gradient * basis).sum(-1) for basis in (about_x, about_y, about_z)], -1)


def _detached(render: Render) -> Render:
    return Render(render.rgb.detach(), render.alpha.detach(), render.depth.detach(), render.median_depth)


def squared_error(windows: Sequence[Target], looks: Sequence[Look]) -> float:
    """Mean squared residual over the masks of all windows."""
    sums = [
        ((one.render.rgb - window.photo)[window.mask]).square().sum()
        for window, one in zip(windows, looks, strict=True)
    ]
    return float(sum(sums)) / max(1, sum(3 * int(window.mask.sum()) for window in windows))
