"""A photo's window on a region, with what the scene shows there now."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.raster import Rasterizer, Render, RenderMode
from gaussian_lens_app.scene import Camera, Capture, Gaussians, PhotoView, Rect


@dataclass(frozen=True, eq=False)
class Target:
    """One window of one photo."""

    name: str
    camera: Camera
    """Of the whole photo; `rect` is the window."""
    rect: Rect
    photo: Float[Tensor, "h w 3"]
    """The window's pixels, 0..1."""
    mask: Bool[Tensor, "h w"]
    """Where the window shows the region."""
    render: Render
    """The scene before the upgrade, in the window."""


def make_target(
    scene: Gaussians, capture: Capture, view: PhotoView, rasterizer: Rasterizer, mode: RenderMode
) -> Target:
    """The window of `view`, its pixels read and the scene rendered into it."""
    photo = capture.photos[view.photo]
    camera = photo.camera.to(scene.device)
    with torch.no_grad():
        render = rasterizer.render(scene, camera, mode=mode, crop=view.rect)
    pixels = photo.crop(view.rect).to(scene.device)
    return Target(photo.name, camera, view.rect, pixels, view.mask.to(scene.device), render)


def matched_exposure(target: Target, limit: float = 1.25) -> Target:
    """The target with its photo's channels scaled to the scene's brightness (least squares over the mask).

    Phones expose each photo anew; the scene keeps one mean exposure, and a fit should not repaint it.
    """
    photo, render = target.photo[target.mask], target.render.rgb[target.mask]
    gain = (photo * render).sum(0) / (photo * photo).sum(0).clamp_min(1e-9)
    return dataclasses.replace(target, photo=target.photo * gain.clamp(1 / limit, limit))
