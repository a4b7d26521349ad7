"""Cameras where no photo was taken: around a scene, and beside the camera of a box."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.scene.camera import Camera
from gaussian_lens_app.scene.gaussians import Gaussians
from gaussian_lens_app.scene.region import Box

COUNT = 12
LONG_SIDE = 320
"""What small pictures do not resolve no finer Gaussian would show."""
FOV = math.radians(50)
SAMPLE = 100_000
"""So many Gaussians say how large a scene is."""


def cameras_around(
    scene: Gaussians,
    count: int = COUNT,
    *,
    long_side: int = LONG_SIDE,
    fov: float = FOV,
    distance: float = 1.1 / math.sin(FOV / 2),
) -> tuple[Camera, ...]:
    """Square cameras spread evenly all around a scene or the part of one (a Fibonacci sphere), looking at its middle.

    `distance` is in radii of the ball that holds nine tenths of the Gaussians.
    """
    middle = scene.means.median(0).values
    away = (scene.means - middle).norm(dim=-1)
    radius = float(torch.quantile(away[:: max(1, len(away) // SAMPLE)], 0.9).clamp_min(1e-6))
    golden = math.pi * (3 - math.sqrt(5))
    found = []
    for i in range(count):
        height = 1 - 2 * (i + 0.5) / count
        flat = math.sqrt(1 - height**2)
        way = middle.new_tensor([flat * math.cos(golden * i), height, flat * math.sin(golden * i)])
        found.append(looking_at(middle + distance * radius * way, middle, long_side, fov))
    return tuple(found)


def cameras_near(
    box: Box, middle: Float[Tensor, "3"], count: int = COUNT, turn: float = math.radians(25)
) -> tuple[Camera, ...]:
    """Cameras where the box's stands, then on a cone around its line of sight to the middle of what is in the box."""
    eye = box.camera.position.to(middle)
    axis = middle - eye
    side = torch.linalg.cross(axis, box.camera.camtoworld[:3, 1].to(middle))
    side = F.normalize(side, dim=0)
    up = torch.linalg.cross(F.normalize(axis, dim=0), side)
    found = [looking_at(eye, middle)]
    for i in range(count - 1):
        angle = 2 * math.pi * i / max(1, count - 1)
        way = math.cos(angle) * side + math.sin(angle) * up
        found.append(looking_at(middle - math.cos(turn) * axis + math.sin(turn) * axis.norm() * way, middle))
    return tuple(found)


def looking_at(
    place: Float[Tensor, "3"], target: Float[Tensor, "3"], long_side: int = LONG_SIDE, fov: float = FOV
) -> Camera:
    """A square camera whose picture's y axis points down the world's, or across where it looks along that."""
    forward = F.normalize((target - place).double(), dim=0)
    down = forward.new_tensor([0.0, 1, 0] if abs(float(forward[1])) < 0.95 else [1.0, 0, 0])
    right = F.normalize(torch.linalg.cross(down, forward), dim=0)
    turn = torch.stack([right, torch.linalg.cross(forward, right), forward])
    viewmat = torch.eye(4, dtype=torch.float64)
    viewmat[:3, :3] = turn.cpu()
    viewmat[:3, 3] = -(turn @ place.double()).cpu()
    focal = long_side / 2 / math.tan(fov / 2)
    K = torch.tensor([[focal, 0, long_side / 2], [0, focal, long_side / 2], [0, 0, 1.0]])
    return Camera(viewmat.float(), K, long_side, long_side)
