"""A region that is the whole scene, seen by every photo."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.scene import Camera, Capture, Gaussians, PhotoView, Region
from gaussian_lens_app.scene.sample import sample

LOOKED_AT = 100_000
"""So many Gaussians tell the middle depth of all; hundreds of photos of millions would take a minute."""


def whole_region(scene: Gaussians, capture: Capture | None) -> Region:
    """All Gaussians and all photos, in the capture's order; what a Gaussian counts for is its opacity."""
    selected = torch.ones(len(scene), dtype=torch.bool, device=scene.device)
    photos = () if capture is None else capture.photos
    means = scene.means[sample(torch.arange(len(scene), device=scene.device), LOOKED_AT)]
    views = tuple(_view(index, photo.camera, means) for index, photo in enumerate(photos))
    return Region(selected, scene.opacities.clone(), views)


def _view(index: int, camera: Camera, means: Float[Tensor, "N 3"]) -> PhotoView:
    """The whole photo; its resolution is that at the median depth of what stands before it."""
    depths = camera.to(means.device).to_camera(means)[:, 2]
    ahead = depths[depths > 0]
    depth = float(ahead.median()) if len(ahead) else 1.0
    mask = torch.ones(1, 1, dtype=torch.bool, device=means.device).expand(camera.height, camera.width)
    resolution = float(camera.K[0, 0]) / max(depth, 1e-9)
    return PhotoView(index, camera.rect, mask, overlap=1.0, resolution=resolution, cosine=1.0, score=1.0)
