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
from gaussian_lens_app.optimize.local import Window
from gaussian_lens_app.raster import Rasterizer, RenderMode
from gaussian_lens_app.scene import Camera, Capture, Gaussians, Rect

LONG_SIDE = 800
"""Photos are looked at in this size for the map of a whole scene."""


def scene_scores(
    scene: Gaussians,
    capture: Capture,
    rasterizer: Rasterizer,
    mode: RenderMode,
    absolute: bool = True,
    most: int = 1000,
    report: Report = silent,
) -> Float[Tensor, "N"]:
    """How much each Gaussian of a scene asks to be split: (1 / V) sum over photos of the length of its view-space
    gradient; 0 where no photo sees it. Of more than `most` photos, some spread over the capture are looked at."""
    step = -(-len(capture) // most)
    photos = capture.photos[::step]
    # Whoever draws may be in inference mode, in which nothing has a gradient.
    with torch.inference_mode(False):
        total = scene.means.new_zeros(len(scene))
        for index, photo in enumerate(photos):
            report("Comparing with the photos", index / len(photos))
            photo = photo.with_long_side(LONG_SIDE)
            camera, pixels = photo.camera.to(scene.device), photo.load().to(scene.device).float() / 255
            total += photo_scores(scene, camera, camera.rect, pixels, rasterizer, mode, absolute)
    return total / max(1, len(photos))


def window_scores(
    scene: Gaussians,
    windows: Sequence[Window],
    rasterizer: Rasterizer,
    mode: RenderMode,
    absolute: bool = True,
    report: Report = silent,
) -> Float[Tensor, "N"]:
    """The score summed over windows of photos."""
    total = scene.means.new_zeros(len(scene))
    for index, one in enumerate(windows):
        report("Looking for what is too coarse", index / len(windows))
        total += photo_scores(scene, one.camera, one.rect, one.photo, rasterizer, mode, absolute)
    return total


def photo_scores(
    scene: Gaussians,
    camera: Camera,
    rect: Rect,
    pixels: Float[Tensor, "h w 3"],
    rasterizer: Rasterizer,
    mode: RenderMode,
    absolute: bool = True,
) -> Float[Tensor, "N"]:
    """The part of the score that a window of one photo gives."""
    probe = torch.zeros(len(scene), 4, device=scene.device, requires_grad=True)
    with torch.enable_grad():
        residual = rasterizer.render(scene.detach(), camera, mode=mode, crop=rect, probe=probe).rgb - pixels
        (found,) = torch.autograd.grad(0.5 * residual.square().sum(), probe)
    return screen_lengths(found, camera, absolute)


def screen_lengths(screen: Float[Tensor, "P 4"], camera: Camera, absolute: bool) -> Float[Tensor, "P"]:
    """Lengths of gradients of a photo's mean squared error, from those of half the squared residual to pixel positions.

    In half pictures, as 3DGS counts. `absolute` sums the pixels' absolute values, so that what pulls a large Gaussian
    both ways counts too (AbsGS, Ye et al. 2024).
    """
    half = max(camera.width, camera.height) / 2
    per_pixel = 2 / (3 * camera.width * camera.height)
    return (screen[:, 2:] if absolute else screen[:, :2]).norm(dim=-1) * half * per_pixel


def scores_of_looks(looks: Sequence[Look], windows: Sequence[Target], absolute: bool = True) -> Float[Tensor, "P"]:
    """The same score from looks that asked for gradients on the picture."""
    lengths = [
        screen_lengths(one.screen, window.camera, absolute)
        for one, window in zip(looks, windows, strict=True)
        if one.screen is not None
    ]
    return torch.stack(lengths).mean(0)
