"""Where a scene is too coarse for its photos: the gradient of the rendering loss to each centre on the picture.

3DGS splits what has a large one; Generative Densification chooses by it what to densify (Nam et al. 2024, section 3.1).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.jobs.report import Report, silent
from gaussian_lens_app.methods.gaussian_lens_features import Look
from gaussian_lens_app.methods.targets import Target
from gaussian_lens_app.raster import Rasterizer, RenderMode
from gaussian_lens_app.scene import Capture, Gaussians, Photo

LONG_SIDE = 800
"""Photos are looked at in this size for the map of a whole scene."""


def densification_scores(looks: Sequence[Look], windows: Sequence[Target], absolute: bool = True) -> Float[Tensor, "P"]:
    """(1 / V) sum over photos of the length of each Gaussian's view-space gradient, from looks that asked for it."""
    total = [
        screen_length(one.screen, window, absolute)
        for one, window in zip(looks, windows, strict=True)
        if one.screen is not None
    ]
    return torch.stack(total).mean(0)


def screen_length(screen: Float[Tensor, "P 4"], window: Target, absolute: bool) -> Float[Tensor, "P"]:
    """Length of the gradient of a photo's mean squared error, in half pictures as 3DGS counts; `absolute` sums the
    pixels' absolute values, so that what pulls a large Gaussian both ways counts (AbsGS, Ye et al. 2024)."""
    camera = window.camera
    half = max(camera.width, camera.height) / 2
    per_pixel = 2 / (3 * camera.width * camera.height)
    return (screen[:, 2:] if absolute else screen[:, :2]).norm(dim=-1) * half * per_pixel


def scene_scores(
    scene: Gaussians,
    capture: Capture,
    rasterizer: Rasterizer,
    mode: RenderMode,
    absolute: bool = True,
    report: Report = silent,
) -> Float[Tensor, "N"]:
    """The score of every Gaussian over all photos of a capture; 0 where no photo sees it."""
    total = scene.means.new_zeros(len(scene))
    for index, photo in enumerate(capture.photos):
        report("Comparing with the photos", index / len(capture))
        total = total + photo_score(scene, photo.with_long_side(LONG_SIDE), rasterizer, mode, absolute)
    return total / max(1, len(capture))


def photo_score(
    scene: Gaussians, photo: Photo, rasterizer: Rasterizer, mode: RenderMode, absolute: bool = True
) -> Float[Tensor, "N"]:
    """The part of the score that one photo gives."""
    camera = photo.camera.to(scene.device)
    pixels = photo.load().to(scene.device).float() / 255
    probe = torch.zeros(len(scene), 4, device=scene.device, requires_grad=True)
    with torch.enable_grad():
        error = (rasterizer.render(scene.detach(), camera, mode=mode, probe=probe).rgb - pixels).square().mean()
        (found,) = torch.autograd.grad(error, probe)
    half = max(camera.width, camera.height) / 2
    return (found[:, 2:] if absolute else found[:, :2]).norm(dim=-1) * half
