"""Pictures that a scene takes of itself, for methods that want photos where there are none."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.jobs.report import Report, silent
from gaussian_lens_app.raster import Rasterizer, RenderMode
from gaussian_lens_app.scene import Box, Camera, Capture, Gaussians, Photo
from gaussian_lens_app.scene.synthetic import cameras_around

LONG_SIDE = 400
TURN = math.radians(9)
"""Cameras beside the box's are turned so far about what is in the box."""
AROUND = 18
"""Cameras around a scene that is looked at from nowhere in particular: most of it is seen by several."""
FOV = math.radians(60)
DISTANCE = 1.4
"""Of those cameras, in radii of the ball that holds nine tenths of the scene."""


def own_views(
    scene: Gaussians,
    selected: Bool[Tensor, "N"],
    box: Box | None,
    rasterizer: Rasterizer,
    mode: RenderMode,
    report: Report = silent,
) -> Capture:
    """A capture of low-resolution pictures of the scene: around the box's camera, or from all around the scene."""
    cameras = _beside(scene, selected, box.camera) if box is not None else _around(scene)
    photos = []
    for number, camera in enumerate(cameras):
        report("Taking pictures of the scene", number / len(cameras))
        with torch.no_grad():
            rgb = rasterizer.render(scene, camera.to(scene.device), mode=mode).rgb
        pixels = (rgb.clamp(0, 1) * 255 + 0.5).to(torch.uint8).cpu()
        photos.append(Photo(f"own_{number:02d}.png", camera, pixels))
    return Capture(tuple(photos), notes=("Pictures of the scene itself.",))


def _beside(scene: Gaussians, selected: Bool[Tensor, "N"], camera: Camera) -> list[Camera]:
    """The box's camera and four turned about the middle of what is selected: left, right, up, down."""
    camera = camera.to("cpu").with_long_side(LONG_SIDE)
    centre = scene.means[selected].cpu().median(0).values
    axes = camera.viewmat[:3, :3]
    turns = [(0, 0.0), (1, TURN), (1, -TURN), (0, TURN), (0, -TURN)]
    return [_turned(camera, centre, axes[axis], angle) for axis, angle in turns]


def _turned(camera: Camera, centre: Float[Tensor, "3"], axis: Float[Tensor, "3"], angle: float) -> Camera:
    """The camera carried around `centre` about a world axis."""
    x, y, z = (axis * angle).tolist()
    R = torch.linalg.matrix_exp(torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]]))
    viewmat = camera.viewmat.clone()
    viewmat[:3, :3] = camera.viewmat[:3, :3] @ R.T
    viewmat[:3, 3] = camera.viewmat[:3, 3] + camera.viewmat[:3, :3] @ (centre - R.T @ centre)
    return Camera(viewmat, camera.K, camera.width, camera.height)


def _around(scene: Gaussians) -> list[Camera]:
    """Cameras evenly all around the scene."""
    return list(cameras_around(scene, AROUND, long_side=LONG_SIDE, fov=FOV, distance=DISTANCE))
