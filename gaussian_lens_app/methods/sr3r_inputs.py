"""A scaffold and its windows of low-resolution photos as the tensors that SR3R's network takes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.methods.gaussian_lens_features import own_axes
from gaussian_lens_app.methods.gaussian_lens_inputs import footprints
from gaussian_lens_app.methods.rays import encoded_rays
from gaussian_lens_app.methods.sr3r_views import FACTOR, LowLook, LowView, look_low
from gaussian_lens_app.networks.image_network import padded_stack
from gaussian_lens_app.networks.residuals import applied
from gaussian_lens_app.networks.sr3r import PATCH, SR3R, LowPhotos, ScaffoldPoints
from gaussian_lens_app.networks.views import Views
from gaussian_lens_app.raster import Rasterizer, RenderMode
from gaussian_lens_app.scene import SH_C0, Gaussians

RESIDUAL_GAIN = 4.0
"""Residuals are small beside colours."""


def looks_of(
    frozen: Gaussians, scaffold: Gaussians, views: Sequence[LowView], rasterizer: Rasterizer, mode: RenderMode
) -> list[LowLook]:
    """The scaffold in each window."""
    return [look_low(frozen, scaffold, view, rasterizer, mode) for view in views]


def run_sr3r(
    network: SR3R,
    scaffold: Gaussians,
    children: Bool[Tensor, "N"],
    views: Sequence[LowView],
    looks: Sequence[LowLook],
) -> Gaussians:
    """The super-resolved scaffold, differentiable in the network's weights; `children` came of a split."""
    points = as_scaffold(scaffold, children, views, looks)
    residuals = network(points, as_photos(scaffold, views, looks))
    return applied(scaffold, points.axes, points.order, residuals)


def as_scaffold(
    scaffold: Gaussians, children: Bool[Tensor, "N"], views: Sequence[LowView], looks: Sequence[LowLook]
) -> ScaffoldPoints:
    """The Gaussians, free of units."""
    axes, order = own_axes(scaffold)
    sizes = torch.gather(scaffold.log_scales, 1, order)
    footprint = footprints(scaffold.means, [view.low for view in views])
    towards = sum(F.normalize(scaffold.means - view.low.camera.position, dim=-1) for view in views)
    tilt = (axes.mT @ F.normalize(torch.as_tensor(towards), dim=-1)[..., None])[..., 0].abs()
    weights = torch.stack([one.low.weights for one in looks], 1)
    parameters = [
        (scaffold.sh0[:, 0] * SH_C0).clamp(-1, 1),
        scaffold.logit_opacities[:, None] / 4,
        (sizes - footprint.log()[:, None]).clamp(-6, 6),
        tilt,
        (weights > 0.05).float().mean(1, keepdim=True),
        children[:, None].float(),
        torch.log1p(weights.sum(1, keepdim=True)),
        torch.full_like(footprint, len(views) / 4)[:, None],
    ]
    return ScaffoldPoints(
        positions=scaffold.means,
        spacing=footprint.median(),
        axes=axes,
        order=order,
        parameters=torch.cat(parameters, -1),
        gradients=torch.stack([one.low.gradients for one in looks], 1),
        weights=weights,
        high_gradients=torch.stack([one.high.gradients for one in looks], 1),
        high_weights=torch.stack([one.high.weights for one in looks], 1),
    )


def as_photos(scaffold: Gaussians, views: Sequence[LowView], looks: Sequence[LowLook]) -> LowPhotos:
    """The windows as image tensors."""
    renders = padded_stack([_channels(view, one) for view, one in zip(views, looks, strict=True)], PATCH)
    enlarged = padded_stack([view.enlarged for view in views], PATCH * FACTOR)
    height, width = renders.shape[-2] // PATCH, renders.shape[-1] // PATCH
    cameras = [view.low.camera.cropped(view.low.rect) for view in views]
    sizes = torch.tensor([[camera.width, camera.height] for camera in cameras])
    patches = torch.tensor([[-(-camera.width // PATCH), -(-camera.height // PATCH)] for camera in cameras])
    columns, rows = torch.arange(width) < patches[:, :1], torch.arange(height) < patches[:, 1:]
    real = (rows[:, :, None] & columns[:, None]).flatten(1)
    rays = encoded_rays(cameras, scaffold.means, height, width, PATCH)
    return LowPhotos(
        views=Views(
            images=renders,
            rays=rays,
            viewmats=torch.stack([camera.viewmat for camera in cameras]),
            Ks=torch.stack([camera.K for camera in cameras]),
            sizes=sizes.to(renders),
        ),
        enlarged=enlarged,
        real=None if bool(real.all()) else real.to(renders.device),
    )


def _channels(view: LowView, one: LowLook) -> Float[Tensor, "h w 8"]:
    """Render, relative depth, opacity, and what the photo has beyond the render."""
    low, render = view.low, one.low.render
    middle = render.depth[low.mask].median().clamp_min(1e-6) if bool(low.mask.any()) else render.depth.new_ones(())
    relative = (render.depth / middle - 1).clamp(-1, 1)
    residual = RESIDUAL_GAIN * (low.photo - render.rgb)
    return torch.cat([render.rgb, relative[..., None], render.alpha[..., None], residual], -1)
