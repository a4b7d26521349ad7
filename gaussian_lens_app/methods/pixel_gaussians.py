"""Pixel-guided Gaussians: one faint Gaussian per photo pixel (or block of pixels) at the scene's own depth.

GaussianLens, section "pixel-guided Gaussians": mean = o + median depth * d, opacity 0.05, colour of the pixel. Ours are
unit-free (sized by the pixel's footprint), checked against other photos, and coloured to make up for their faintness.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.methods.depth_check import DepthCheckSettings, check_depths
from gaussian_lens_app.methods.targets import Target
from gaussian_lens_app.scene import SH_C0, Camera, Gaussians


@dataclass(frozen=True)
class PixelSettings:
    """How pixel Gaussians begin."""

    opacity: float = 0.05
    """Faint: at 0.3 the layer veils what was there (-2.7 dB unfitted, in a prototype), at 0.05 it gains at once."""
    footprint: float = 0.7
    """Standard deviation in strides."""
    gain: float = 2.0
    """The colour overshoots the photo by this part of (photo - render): a faint layer moves the image only so far."""
    least_alpha: float = 0.5
    """A pixel whose accumulated opacity is lower has no median depth."""
    check_spacing: int = 6
    """Depths are checked every so many pixels."""
    depth_check: DepthCheckSettings | None = field(default_factory=DepthCheckSettings)
    """None: trust the scene's depth."""


def pixel_gaussians(target: Target, others: list[Target], stride: int, settings: PixelSettings) -> Gaussians:
    """New Gaussians (SH degree 0) for the masked pixels of a photo, one per `stride` x `stride` block."""
    if stride > min(target.photo.shape[:2]):
        return Gaussians.empty(0, target.photo.device)
    positions = _block_centres(target, stride)
    photo = _block_means(target.photo, stride)
    render = _block_means(target.render.rgb, stride)
    depths, valid = _block_depths(target, stride, settings.least_alpha)
    if settings.depth_check is not None and others:
        depths, consistent = _checked(target, depths, others, stride, settings)
        valid = valid & consistent
    colors = (photo + settings.gain * (photo - render))[valid]
    return _isotropic(
        target.camera, positions[valid], depths[valid], colors, stride * settings.footprint, settings.opacity
    )


def _checked(
    target: Target, depths: Float[Tensor, "gh gw"], others: list[Target], stride: int, settings: PixelSettings
) -> tuple[Float[Tensor, "gh gw"], Bool[Tensor, "gh gw"]]:
    """Depths corrected by the other photos, and which of them those do not contradict.

    Checked on a coarser grid: depth errors are smoother than photos, and the sweep is the costly part of inserting.
    """
    assert settings.depth_check is not None
    coarse = max(1, min(round(settings.check_spacing / stride), *depths.shape))
    some = slice(coarse // 2, None, coarse)
    positions = _block_centres(target, stride)[some, some]
    before = depths[some, some]
    after, consistent = check_depths(target, positions, before, others, coarse * stride, settings.depth_check)
    factors = torch.where(before > 0, after / before.clamp_min(1e-9), 1.0)
    enlarge = lambda grid: F.interpolate(grid[None, None].float(), depths.shape, mode="nearest")[0, 0]  # noqa: E731
    return depths * enlarge(factors), enlarge(consistent) > 0.5


def _block_centres(target: Target, stride: int) -> Float[Tensor, "gh gw 2"]:
    """Centres of the stride x stride blocks, in pixels of the whole photo."""
    x0, y0, x1, y1 = target.rect
    device = target.photo.device
    x = x0 + stride * (torch.arange((x1 - x0) // stride, device=device) + 0.5)
    y = y0 + stride * (torch.arange((y1 - y0) // stride, device=device) + 0.5)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)


def _block_means(image: Float[Tensor, "h w C"], stride: int) -> Float[Tensor, "gh gw C"]:
    return F.avg_pool2d(image.permute(2, 0, 1)[None], stride)[0].permute(1, 2, 0)


def _block_depths(
    target: Target, stride: int, least_alpha: float
) -> tuple[Float[Tensor, "gh gw"], Bool[Tensor, "gh gw"]]:
    """Median depth at the block's middle pixel, and whether the block is in the mask and has a depth."""
    gh, gw = target.mask.shape[0] // stride, target.mask.shape[1] // stride
    middle = slice(stride // 2, None, stride)
    depth, alpha, mask = (
        image[middle, middle][:gh, :gw] for image in (target.render.median_depth, target.render.alpha, target.mask)
    )
    return depth, mask & (alpha >= least_alpha) & (depth > 0)


def _isotropic(
    camera: Camera, pixels: Tensor, depths: Tensor, colors: Tensor, sigma_pixels: float, opacity: float
) -> Gaussians:
    """Round Gaussians whose standard deviation is `sigma_pixels` pixels of `camera`."""
    means = camera.unproject(pixels, depths)
    sigmas = sigma_pixels * depths / camera.K[0, 0]
    quats = means.new_zeros(len(means), 4)
    quats[:, 0] = 1
    logits = torch.logit(means.new_full((len(means),), opacity))
    sh0 = (colors[:, None] - 0.5) / SH_C0
    log_scales = sigmas.log()[:, None].expand(-1, 3).contiguous()
    return Gaussians(means, quats, log_scales, logits, sh0, means.new_zeros(len(means), 0, 3))
