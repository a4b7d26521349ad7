"""Procedural scenes: a textured room with solids in it, photographed from an arc with the flaws of real captures."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from gaussian_lens_app.scene import Camera, Capture, Photo
from gaussian_lens_app.training.raycast import CYLINDER, RECTANGLE, SPHERE, World, photograph, solid
from gaussian_lens_app.training.textures import random_texture

UP = np.array([0.0, -1.0, 0.0])
"""y points down, as in the cameras."""


@dataclass(frozen=True)
class WorldSettings:
    """How large and how flawed a procedural capture is."""

    photos: int = 12
    width: int = 448
    height: int = 336
    textures: int = 8
    pose_pixels: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5)
    """Standard deviation of the pose error at full size; one of them a scene."""
    exposures: tuple[float, ...] = (0.0, 0.02, 0.05)
    noises: tuple[float, ...] = (0.0, 0.005, 0.015)
    blurs: tuple[float, ...] = (0.0, 0.0, 0.5, 0.8)
    """Sigma in pixels."""


@dataclass(frozen=True, eq=False)
class Photographed:
    """A capture whose depths are known."""

    capture: Capture
    """Cameras carry the pose error; photos are as taken from the true poses."""
    depths: tuple[Float[Tensor, "H W"], ...]
    """Exact z-depths of each photo."""


def random_capture(
    seed: int, decals: Sequence[UInt8[np.ndarray, "H W 3"]] = (), settings: WorldSettings | None = None
) -> Photographed:
    """A procedural scene and its photos; the same seed gives the same pixels."""
    settings, rng = settings or WorldSettings(), np.random.default_rng(seed)
    world = random_world(rng, decals, settings.textures)
    cameras = random_cameras(rng, settings)
    flaws = [float(rng.choice(choice)) for choice in (settings.exposures, settings.noises, settings.blurs)]
    pose_error = float(rng.choice(settings.pose_pixels))
    photos, depths = [], []
    for i, camera in enumerate(cameras):
        rgb, depth = photograph(world, camera)
        pixels = _as_taken(rgb, rng, *flaws)
        told = _with_pose_error(camera, rng, pose_error)
        photos.append(Photo(f"photo_{i:02d}.png", told, pixels))
        depths.append(depth)
    return Photographed(Capture(tuple(photos)), tuple(depths))


def random_world(rng: np.random.Generator, decals: Sequence[np.ndarray], textures: int) -> World:
    """A closed room, 4 to 12 solids on its floor or floating, sometimes a cloud of leaves."""
    sheets = np.stack([random_texture(rng, decals) for _ in range(textures)])
    look = _Look(rng, textures)
    rows = _room(rng, look)
    for _ in range(int(rng.integers(4, 13))):
        rows += _thing(rng, look)
    if rng.random() < 0.35:
        rows += _leaves(rng, look)
    light = rng.normal(size=3) + 1.5 * UP
    return World(np.stack(rows), sheets, light / np.linalg.norm(light))


class _Look:
    """Random texture, repeat length and gloss of a surface."""

    def __init__(self, rng: np.random.Generator, textures: int):
        self.rng, self.textures = rng, textures

    def __call__(self) -> tuple[int, float, float]:
        gloss = float(self.rng.choice([0.0, 0.0, 0.0, 0.15]))
        return int(self.rng.integers(self.textures)), float(self.rng.uniform(1.5, 4.5)), gloss


def _room(rng: np.random.Generator, look: _Look) -> list[np.ndarray]:
    x, y, z = np.eye(3)
    half, floor = rng.uniform(2.2, 4.5), rng.uniform(0.6, 1.2)
    walls = [
        (floor * y, x, z, 8.0, 8.0), (-4.0 * y, x, z, 8.0, 8.0), (half * z, x, y, 8.0, 5.0),
        (-7.0 * z, x, y, 8.0, 8.0), (half * 1.3 * x, z, y, 8.0, 8.0), (-half * 1.3 * x, z, y, 8.0, 8.0),
    ]  # fmt: skip
    return [solid(RECTANGLE, *wall, *look()) for wall in walls]


def _thing(rng: np.random.Generator, look: _Look) -> list[np.ndarray]:
    centre = rng.uniform([-1.6, -0.7, -1.2], [1.6, 0.9, 1.6])
    axes = _random_rotation(rng)
    size = rng.uniform(0.15, 0.7, 3)
    kind = rng.integers(4)
    if kind == 0:
        return [solid(SPHERE, centre, axes[0], axes[1], size[0], 0.0, *look())]
    if kind == 1:
        return [solid(CYLINDER, centre, axes[0], axes[1], size[0] * 0.6, size[1] * 1.5, *look())]
    if kind == 2:
        return [solid(RECTANGLE, centre, axes[0], axes[1], size[0] * 1.3, size[1] * 1.3, *look())]
    return _box(centre, axes, size, look)


def _box(centre: np.ndarray, axes: np.ndarray, size: np.ndarray, look: _Look) -> list[np.ndarray]:
    rows = []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        for side in (-1, 1):
            middle = centre + side * size[axis] * axes[axis]
            rows.append(solid(RECTANGLE, middle, axes[u], axes[v], size[u], size[v], *look()))
    return rows


def _leaves(rng: np.random.Generator, look: _Look) -> list[np.ndarray]:
    centre, spread = rng.uniform([-1, -0.8, -0.8], [1, 0.5, 1]), rng.uniform(0.3, 0.7)
    rows = []
    for _ in range(int(rng.integers(20, 45))):
        axes = _random_rotation(rng)
        a, b = rng.uniform(0.04, 0.2, 2)
        rows.append(solid(RECTANGLE, centre + spread * rng.normal(size=3), axes[0], axes[1], a, b, *look()))
    return rows


def _random_rotation(rng: np.random.Generator) -> np.ndarray:
    """Rows are orthonormal axes; half the time upright."""
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        c, s = math.cos(angle), math.sin(angle)
        return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return q.T


def random_cameras(rng: np.random.Generator, settings: WorldSettings) -> list[Camera]:
    """Cameras on a jittered arc that look at the middle of the room."""
    span, radius = math.radians(rng.uniform(25, 80)), rng.uniform(2.2, 3.6)
    start, height = rng.uniform(-0.5, 0.5) - span / 2, rng.uniform(-1.2, 0.1)
    focal = settings.width * rng.uniform(0.85, 1.4)
    target = rng.uniform([-0.4, -0.3, -0.3], [0.4, 0.3, 0.3])
    cameras = []
    for i in range(settings.photos):
        angle = start + span * (i + rng.uniform(-0.3, 0.3)) / (settings.photos - 1)
        place = np.array([math.sin(angle) * radius, height, -math.cos(angle) * radius])
        place += rng.normal(size=3) * [0.1, 0.25, 0.15]
        place[1] = min(place[1], 0.3)
        cameras.append(_looking(place, target + 0.15 * rng.normal(size=3), focal, settings))
    return cameras


def _looking(place: np.ndarray, target: np.ndarray, focal: float, settings: WorldSettings) -> Camera:
    forward = (target - place) / np.linalg.norm(target - place)
    right = np.cross(-UP, forward)
    right /= np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    viewmat = np.eye(4)
    viewmat[:3, :3], viewmat[:3, 3] = R, -R @ place
    K = np.array([[focal, 0, settings.width / 2], [0, focal, settings.height / 2], [0, 0, 1]])
    return Camera(torch.from_numpy(viewmat).float(), torch.from_numpy(K).float(), settings.width, settings.height)


def _with_pose_error(camera: Camera, rng: np.random.Generator, pixels: float) -> Camera:
    """The camera turned so that the picture shifts by about so many pixels."""
    turn = rng.normal(size=3) * pixels / float(camera.K[0, 0])
    x, y, z = turn
    skew = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    viewmat = camera.viewmat.double().clone()
    viewmat[:3] = torch.linalg.matrix_exp(skew) @ viewmat[:3]
    return Camera(viewmat.float(), camera.K, camera.width, camera.height)


def _as_taken(
    rgb: Tensor, rng: np.random.Generator, exposure: float, noise: float, blur: float
) -> UInt8[Tensor, "H W 3"]:
    """The picture with exposure, blur, noise, sometimes JPEG."""
    planes = rgb.permute(2, 0, 1)[:, None] * math.exp(exposure * rng.normal())
    if blur:
        taps = torch.exp(-0.5 * (torch.arange(-2, 3) / blur) ** 2)
        taps = taps / taps.sum()
        planes = F.conv2d(
            F.pad(planes, (2, 2, 2, 2), mode="replicate"), taps[None, None, None] * taps[None, None, :, None]
        )
    values = planes[:, 0].permute(1, 2, 0).numpy() + noise * rng.normal(size=rgb.shape)
    pixels = (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)
    if rng.random() < 0.5:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=int(rng.integers(85, 96)))
        pixels = np.array(Image.open(buffer))
    return torch.from_numpy(pixels)
