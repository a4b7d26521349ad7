"""What SR3R sees of a region: low-resolution windows of photos, the same enlarged, and how the scaffold looks there."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.methods.gaussian_lens_features import Look, look
from gaussian_lens_app.methods.targets import Target
from gaussian_lens_app.priors import Prior, PriorSource, is_diffusion, load_prior
from gaussian_lens_app.priors.base import first_guess
from gaussian_lens_app.raster import Rasterizer, RenderMode
from gaussian_lens_app.scene import Camera, Gaussians

Upsampler = Callable[[Float[Tensor, "h w 3"], int], Float[Tensor, "H W 3"]]
"""An image of 0..1 and a factor -> the image so many times as large."""

FACTOR = 4
"""The network sees photos enlarged so many times; what it makes is meant for pictures as large."""
GRADIENT_FACTOR = 2
"""Gradients are taken at this size: enlarged photos hold no more, and it costs a quarter."""


@dataclass(frozen=True, eq=False)
class LowView:
    """One window of one low-resolution photo."""

    low: Target
    """At the photo's own size."""
    high: Target
    """Enlarged by GRADIENT_FACTOR."""
    enlarged: Float[Tensor, "H W 3"]
    """The window enlarged by FACTOR."""


@dataclass(frozen=True, eq=False)
class LowLook:
    """The scaffold in one window."""

    low: Look
    high: Look


def low_view(low: Target, upsampler: Upsampler) -> LowView:
    """A window of a photo with what the upsampler makes of it."""
    enlarged = upsampler(low.photo, FACTOR)
    high = dataclasses.replace(
        low,
        camera=enlarged_camera(low.camera, GRADIENT_FACTOR),
        rect=tuple(GRADIENT_FACTOR * side for side in low.rect),
        photo=_averaged(enlarged, FACTOR // GRADIENT_FACTOR),
        mask=enlarged_mask(low.mask, GRADIENT_FACTOR),
    )
    return LowView(low, high, enlarged)


def look_low(frozen: Gaussians, moving: Gaussians, view: LowView, rasterizer: Rasterizer, mode: RenderMode) -> LowLook:
    """Renders and natural gradients at both sizes; `mode` is that of pictures FACTOR times as large as the photo."""
    small = low_mode(mode)
    return LowLook(
        look(frozen, moving, view.low, rasterizer, small),
        look(frozen, moving, view.high, rasterizer, small.scaled(GRADIENT_FACTOR)),
    )


def low_mode(mode: RenderMode) -> RenderMode:
    """The filter with which a scene meant for large pictures looks like the low-resolution photo of it."""
    return mode.averaged(FACTOR)


def bicubic(image: Float[Tensor, "h w 3"], factor: int) -> Float[Tensor, "H W 3"]:
    """Cubic interpolation, within 0..1."""
    planes = F.interpolate(image.permute(2, 0, 1)[None], scale_factor=factor, mode="bicubic", align_corners=False)
    return planes[0].permute(1, 2, 0).clamp(0, 1)


def bilinear(image: Float[Tensor, "h w 3"], factor: int) -> Float[Tensor, "H W 3"]:
    """Linear interpolation."""
    planes = F.interpolate(image.permute(2, 0, 1)[None], scale_factor=factor, mode="bilinear", align_corners=False)
    return planes[0].permute(1, 2, 0)


def by_prior(image: Float[Tensor, "h w 3"], factor: int) -> Float[Tensor, "H W 3"]:
    """The embedded prior's first guess: what all detail that would fit has in common."""
    prior = _embedded(str(image.device))
    assert factor == prior.scale
    with torch.no_grad():
        return first_guess(prior, image, torch.Generator().manual_seed(0)).to(image).clamp(0, 1)


@functools.cache
def _embedded(device: str) -> Prior:
    prior = load_prior(PriorSource(), device)
    assert is_diffusion(prior)
    return prior


UPSAMPLERS: dict[str, Upsampler] = {"bicubic": bicubic, "bilinear": bilinear, "prior": by_prior}


def shrunk(window: Target, factor: int) -> Target | None:
    """A window of a photo as it is in the photo `factor` times smaller; None where too little of it is left.

    The window is cut to whole pixels of the small photo.
    """
    x0, y0, x1, y1 = window.rect
    a0, b0, a1, b1 = -(-x0 // factor), -(-y0 // factor), x1 // factor, y1 // factor
    if min(a1 - a0, b1 - b0) < 2:
        return None
    inside = slice(b0 * factor - y0, b1 * factor - y0), slice(a0 * factor - x0, a1 * factor - x0)
    mask = _averaged(window.mask[inside].float()[..., None], factor)[..., 0] > 0.5
    camera = shrunk_camera(window.camera, factor)
    return dataclasses.replace(
        window, camera=camera, rect=(a0, b0, a1, b1), photo=_averaged(window.photo[inside], factor), mask=mask
    )


def enlarged_camera(camera: Camera, factor: int) -> Camera:
    return camera.resized(camera.width * factor, camera.height * factor)


def shrunk_camera(camera: Camera, factor: int) -> Camera:
    """The same view in pixels `factor` times as large; a remainder at the right and lower edges is cut off."""
    K = camera.K.clone()
    K[:2] /= factor
    return dataclasses.replace(camera, K=K, width=camera.width // factor, height=camera.height // factor)


def enlarged_mask(mask: Bool[Tensor, "h w"], factor: int) -> Bool[Tensor, "H W"]:
    return mask.repeat_interleave(factor, 0).repeat_interleave(factor, 1)


def _averaged(image: Float[Tensor, "h w C"], factor: int) -> Float[Tensor, "H W C"]:
    return F.avg_pool2d(image.permute(2, 0, 1)[None], factor)[0].permute(1, 2, 0)


def same_looks(looks: Sequence[LowLook], convert: Callable[[Tensor], Tensor]) -> list[LowLook]:
    """The same with `convert` applied to the numbers of each Gaussian."""
    change = lambda one: dataclasses.replace(one, gradients=convert(one.gradients), weights=convert(one.weights))  # noqa: E731
    return [LowLook(change(one.low), change(one.high)) for one in looks]
