"""One pass of GaussianLens over a region: render, gradients, network, new Gaussians."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.jobs.report import Report
from gaussian_lens_app.methods.gaussian_lens_features import Look, look
from gaussian_lens_app.methods.gaussian_lens_inputs import LensInputs, footprints
from gaussian_lens_app.methods.gaussian_lens_tiles import tiles
from gaussian_lens_app.methods.rays import encoded_rays
from gaussian_lens_app.methods.targets import Target
from gaussian_lens_app.networks.gaussian_lens import RESIDUAL_GAIN, GaussianLens, Points
from gaussian_lens_app.networks.image_network import padded_stack
from gaussian_lens_app.networks.residuals import applied, own_axes
from gaussian_lens_app.networks.views import Views
from gaussian_lens_app.raster import Rasterizer
from gaussian_lens_app.scene import SH_C0, Gaussians


@dataclass(frozen=True, eq=False)
class Prepared:
    """What stays the same in every pass."""

    inputs: LensInputs
    first: tuple[Look, ...]
    """The input scene in each window."""
    backgrounds: tuple[tuple[Tensor, Tensor], ...]
    """rgb and alpha of the surroundings alone in each window."""
    footprint: Float[Tensor, "P"]
    """World length of a photo pixel at each Gaussian."""
    stride: int


def prepare(inputs: LensInputs, stride: int, rasterizer: Rasterizer, looks: Sequence[Look] | None = None) -> Prepared:
    """Renders and gradients of the input scene (`looks` where at hand), and its surroundings alone."""
    first, backgrounds = list(looks or ()), []
    for window in inputs.windows:
        if looks is None:
            first.append(look(inputs.frozen, inputs.old, window, rasterizer, inputs.mode))
        with torch.no_grad():
            render = rasterizer.render(inputs.frozen, window.camera, mode=inputs.mode, crop=window.rect)
        backgrounds.append((render.rgb, render.alpha))
    footprint = footprints(inputs.union.means, inputs.windows)
    return Prepared(inputs, tuple(first), tuple(backgrounds), footprint, stride)


def look_again(prepared: Prepared, state: Gaussians, rasterizer: Rasterizer) -> list[Look]:
    """The scene as it stands in every window."""
    inputs = prepared.inputs
    return [look(inputs.frozen, state, window, rasterizer, inputs.mode) for window in inputs.windows]


def run_network(
    network: GaussianLens,
    prepared: Prepared,
    state: Gaussians,
    looks: Sequence[Look],
    number: int,
    temperature: float = 0.0,
) -> tuple[Gaussians, Tensor | None]:
    """The state after one pass, differentiable in the network's weights, and which Gaussians exist (None where the
    network does not predict it)."""
    points, views = as_points(prepared, state, looks), network_views(network, prepared, looks)
    residuals = network(points, views, number, temperature)
    return applied(state, points.axes, points.order, residuals), residuals.keep


def run_tiles(
    network: GaussianLens,
    prepared: Prepared,
    state: Gaussians,
    looks: Sequence[Look],
    number: int,
    largest: int,
    report: Report,
) -> Gaussians:
    """The state after one pass in tiles of at most `largest` points; no gradients."""
    points, views = as_points(prepared, state, looks), network_views(network, prepared, looks)
    pyramid = network.images(views)
    factor = network.config.head.factor
    parts, rows = [], []
    for tile in tiles(points.positions, largest):
        report("Running the network", sum(map(len, rows)) / len(state))
        some = points.take(tile.rows)
        moved = applied(state.take(tile.rows), some.axes, some.order, network(some, views, number, pyramid=pyramid))
        parts.append(moved.take(tile.core.repeat_interleave(factor)))
        rows.append(tile.rows[tile.core])
    back = torch.cat(rows).argsort()
    copies = torch.arange(factor, device=back.device)
    return Gaussians.concat(parts).take((back[:, None] * factor + copies).flatten())


def network_views(
    network: GaussianLens, prepared: Prepared, looks: Sequence[Look], rows: Sequence[int] | None = None
) -> Views:
    """The windows as the network wants them."""
    views = as_views(prepared, looks, network.config.image_stride, rows)
    return views if network.config.residual_images else _without_renders(views)


def as_points(prepared: Prepared, state: Gaussians, looks: Sequence[Look]) -> Points:
    """The Gaussians, free of units."""
    axes, order = own_axes(state)
    sizes = torch.gather(state.log_scales, 1, order)
    weights = torch.stack([one.weights for one in looks], 1)
    is_pixel = prepared.inputs.is_pixel
    count = len(is_pixel) - len(prepared.inputs.old)
    return Points(
        positions=state.means,
        spacing=prepared.footprint.median() * prepared.stride,
        axes=axes,
        order=order,
        scales=sizes.exp(),
        parameters=_parameters(prepared, state, axes, sizes, weights),
        is_pixel=is_pixel,
        gradients=torch.stack([one.gradients for one in looks], 1),
        weights=weights,
        first_gradients=torch.stack([F.pad(one.gradients, (0, 0, 0, count)) for one in prepared.first], 1),
        first_weights=torch.stack([F.pad(one.weights, (0, count)) for one in prepared.first], 1),
    )


def _parameters(
    prepared: Prepared,
    state: Gaussians,
    axes: Float[Tensor, "P 3 3"],
    sizes: Float[Tensor, "P 3"],
    weights: Float[Tensor, "P V"],
) -> Float[Tensor, "P 13"]:
    """What describes each Gaussian by itself, in ranges that suit the network."""
    footprint = prepared.footprint
    towards = _mean_directions(state.means, prepared.inputs.windows)
    tilt = (axes.mT @ towards[..., None])[..., 0].abs()
    return torch.cat(
        [
            (state.sh0[:, 0] * SH_C0).clamp(-1, 1),
            state.logit_opacities[:, None] / 4,
            (sizes - footprint.log()[:, None]).clamp(-6, 6),
            tilt,
            (weights > 0.5).float().mean(1, keepdim=True),
            torch.full_like(footprint, math.log(prepared.stride))[:, None],
            torch.full_like(footprint, math.log(prepared.inputs.mode.eps2d / 0.3) / 3)[:, None],
        ],
        -1,
    )


def as_views(prepared: Prepared, looks: Sequence[Look], stride: int, rows: Sequence[int] | None = None) -> Views:
    """The windows as image tensors; only those of `rows`, padded to the size of all, where they are given."""
    every = prepared.inputs.windows
    rows = range(len(every)) if rows is None else rows
    windows = [every[row] for row in rows]
    images = [_channels(every[row], prepared.first[row], looks[row], prepared.backgrounds[row]) for row in rows]
    stacked = padded_stack(images, 4 * stride, _largest(every))
    height, width = stacked.shape[-2] // stride, stacked.shape[-1] // stride
    cameras, means = [window.camera.cropped(window.rect) for window in windows], prepared.inputs.union.means
    sizes = torch.tensor([[window.rect[2] - window.rect[0], window.rect[3] - window.rect[1]] for window in windows])
    return Views(
        images=stacked,
        rays=encoded_rays(cameras, means, height, width, stride, every[0].camera),
        viewmats=torch.stack([window.camera.viewmat for window in windows]),
        Ks=torch.stack([camera.K for camera in cameras]),
        sizes=sizes.to(stacked),
    )


def _channels(window: Target, first: Look, now: Look, background: tuple[Tensor, Tensor]) -> Float[Tensor, "h w 20"]:
    """Photo, render, residuals before and now, surroundings, depths, opacity, mask."""
    depth = now.render.depth
    middle = depth[window.mask].median().clamp_min(1e-6) if bool(window.mask.any()) else depth.new_ones(())
    relative = (first.render.depth / middle - 1).clamp(-1, 1), (depth / middle - 1).clamp(-1, 1)
    planes = [
        window.photo,
        now.render.rgb,
        RESIDUAL_GAIN * (window.photo - now.render.rgb),
        RESIDUAL_GAIN * (window.photo - first.render.rgb),
        background[0],
        *(plane[..., None] for plane in (background[1], *relative, now.render.alpha, window.mask.float())),
    ]
    return torch.cat(planes, -1)


def _without_renders(views: Views) -> Views:
    images = views.images.clone()
    images[:, 3:19] = 0
    return Views(images, views.rays, views.viewmats, views.Ks, views.sizes)


def _largest(windows: Sequence[Target]) -> tuple[int, int]:
    """Height and width that hold any of the windows."""
    rects = [window.rect for window in windows]
    return max(rect[3] - rect[1] for rect in rects), max(rect[2] - rect[0] for rect in rects)


def _mean_directions(means: Float[Tensor, "P 3"], windows: Sequence[Target]) -> Float[Tensor, "P 3"]:
    """Unit vectors from the photos to each mean, averaged."""
    total = sum(F.normalize(means - window.camera.position, dim=-1) for window in windows)
    return F.normalize(torch.as_tensor(total), dim=-1)
