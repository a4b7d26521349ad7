"""Where the first look is from, and which way is up."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from gaussian_lens_app.raster import Rasterizer
from gaussian_lens_app.scene import Capture, Gaussians

DOWN = (0.0, 1.0, 0.0)
"""OpenCV axes, which scenes from COLMAP cameras roughly share: y points down."""


@dataclass(frozen=True, eq=False)
class FirstView:
    """A pose in world coordinates, as viser wants it."""

    position: Float[np.ndarray, "3"]
    look_at: Float[np.ndarray, "3"]
    up: Float[np.ndarray, "3"]
    fov: float
    """Vertical, radians."""


def first_view(scene: Gaussians, capture: Capture | None, rasterizer: Rasterizer) -> FirstView:
    """The first photo's camera; without photos, the whole scene from in front."""
    if capture is None or len(capture) == 0:
        return _whole(scene)
    camera = capture.photos[0].camera
    distance = _distance(scene, capture, rasterizer)
    position, forward = camera.position.cpu(), camera.forward.cpu()
    fov = 2 * math.atan(camera.height / (2 * float(camera.K[1, 1])))
    return FirstView(position.numpy(), (position + distance * forward).numpy(), up_direction(capture), fov)


def up_direction(capture: Capture | None) -> Float[np.ndarray, "3"]:
    """Mean up of the cameras; people hold them upright, so it is the world's."""
    if capture is None or len(capture) == 0:
        return -np.asarray(DOWN)
    ups = -torch.stack([photo.camera.viewmat[1, :3].cpu() for photo in capture.photos]).double()
    mean = ups.mean(0)
    if float(mean.norm()) < 1e-3:  # cameras looking straight down in all directions cancel out
        return -np.asarray(DOWN)
    return (mean / mean.norm()).numpy()


def _distance(scene: Gaussians, capture: Capture, rasterizer: Rasterizer) -> float:
    """Depth of what is in the middle of the first photo: what the camera should turn around."""
    camera = capture.photos[0].camera.with_long_side(160).to(scene.device)
    with torch.inference_mode():
        depth = rasterizer.render(scene, camera).median_depth
    rows, columns = depth.shape
    middle = depth[rows // 3 : -(rows // 3) or None, columns // 3 : -(columns // 3) or None]
    drawn = middle[middle > 0]
    return float(drawn.median()) if len(drawn) else 1.0


def _whole(scene: Gaussians) -> FirstView:
    """In front of the middle nine tenths of the Gaussians: floaters do not count."""
    means = scene.means.detach().cpu().double()
    means = means[torch.randperm(len(means), generator=torch.Generator().manual_seed(0))[:100_000]]
    low, high = means.quantile(0.05, 0), means.quantile(0.95, 0)
    centre, radius = (low + high) / 2, float((high - low).norm() / 2)
    fov = math.radians(50)
    back = torch.tensor([0.0, 0.0, 1.0], dtype=torch.double) * max(radius, 1e-3) / math.tan(fov / 2) * 1.1
    return FirstView((centre - back).numpy(), centre.numpy(), -np.asarray(DOWN), fov)
