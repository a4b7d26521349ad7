"""Where the first look is from, and which way is up."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from gaussian_lens_app.raster import Rasterizer
from gaussian_lens_app.scene import Camera, Capture, Gaussians
from gaussian_lens_app.session.looks import Pose
from gaussian_lens_app.viewer.flight import pose_of_camera

Direction = Float[np.ndarray, "3"] | Sequence[float]

DOWN = (0.0, 1.0, 0.0)
"""OpenCV axes, which scenes from COLMAP cameras roughly share: y points down."""
OUTERMOST = 0.02
"""Part of the Gaussians at each end of an axis that may be floaters; of people, a larger part is head and feet."""
LEAST_DISTANCE = 3e-3
"""A scene smaller than that is a point: nothing about it says how fast to fly."""


def first_view(
    scene: Gaussians, capture: Capture | None, rasterizer: Rasterizer, photo: int = 0, up: Direction | None = None
) -> Pose:
    """A photo's camera, by default the first's; without photos, the whole scene from in front."""
    if capture is None or len(capture) == 0:
        whole = whole_view(scene)
        return whole if up is None else dataclasses.replace(whole, up=np.asarray(up, dtype=float))
    camera = capture.photos[photo].camera
    distance = _distance(scene, camera, rasterizer)
    pose = pose_of_camera(camera, distance)
    return dataclasses.replace(pose, up=up_direction(capture) if up is None else np.asarray(up, dtype=float))


def unit_of(pose: Pose) -> float:
    """World units for one of the browser's: its keys fly two of those a second, and what is looked at is two away."""
    distance = float(np.linalg.norm(pose.look_at - pose.position))
    return distance / 2 if distance > LEAST_DISTANCE else 1.0


def up_direction(capture: Capture | None) -> Float[np.ndarray, "3"]:
    """Mean up of the cameras; people hold them upright, so it is the world's."""
    if capture is None or len(capture) == 0:
        return -np.asarray(DOWN)
    ups = -torch.stack([photo.camera.viewmat[1, :3].cpu() for photo in capture.photos]).double()
    mean = ups.mean(0)
    if float(mean.norm()) < 1e-3:  # cameras looking straight down in all directions cancel out
        return -np.asarray(DOWN)
    return (mean / mean.norm()).numpy()


def _distance(scene: Gaussians, camera: Camera, rasterizer: Rasterizer) -> float:
    """Depth of what is in the middle of a photo: what the camera should turn around."""
    camera = camera.with_long_side(160).to(scene.device)
    with torch.inference_mode():
        depth = rasterizer.render(scene, camera).median_depth
    rows, columns = depth.shape
    middle = depth[rows // 3 : -(rows // 3) or None, columns // 3 : -(columns // 3) or None]
    drawn = middle[middle > 0]
    return float(drawn.median()) if len(drawn) else 1.0


def whole_view(scene: Gaussians, up: Direction | None = None) -> Pose:
    """In front of all Gaussians but the outermost each way: floaters do not count, however far away they are."""
    means = scene.means.detach().cpu().double()
    means = means[torch.randperm(len(means), generator=torch.Generator().manual_seed(0))[:100_000]]
    low, high = means.quantile(OUTERMOST, 0), means.quantile(1 - OUTERMOST, 0)
    centre, radius = ((low + high) / 2).numpy(), float((high - low).norm() / 2)
    up = -np.asarray(DOWN) if up is None else np.asarray(up, dtype=float)
    forward = np.array([0.0, 0.0, 1.0])
    if abs(float(up @ forward)) > 0.9:
        forward = np.array([0.0, 1.0, 0.0])
    fov = math.radians(50)
    back = forward * max(radius, 1e-3) / math.tan(fov / 2) * 1.1
    return Pose(centre - back, centre, up, fov)
