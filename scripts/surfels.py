"""A scene for timing rasterizers: flat Gaussians on balls, a floor and a distant sky, as dense as trained scenes."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import torch
from torch import Tensor

from gaussian_lens_app.scene import SH_C0, Camera, Gaussians

BALLS = (
    (0.0, 0.0, 0.0, 0.8),
    (1.3, 0.2, 0.3, 0.5),
    (-1.2, 0.1, -0.4, 0.6),
    (0.3, 0.4, 1.3, 0.4),
    (-0.3, 0.3, -1.4, 0.5),
)
"""Centre and radius."""
FLOOR_Y, FLOOR_RADIUS, SKY_RADIUS = 0.8, 4.0, 10.0


SHARED = Path(__file__).resolve().parents[2] / "shared" / "benchmark"
"""Beside the checkout, scenes that other rasterizers were timed on; used where present."""


def benchmark_scene(count: int, size: int, degree: int = 0, own: bool = False) -> tuple[Gaussians, Camera]:
    """The shared test scene where it is present, else this repository's own of the same kind; a square view of it."""
    if own or not (SHARED / "raster_scenes.py").exists():
        return surfels(count, degree), viewpoint(size)
    sys.path.insert(0, str(SHARED))
    import raster_scenes  # pyright: ignore[reportMissingImports]

    made = raster_scenes.make_scene(count)
    scene = Gaussians(
        means=made["means"],
        quats=made["quats"],
        log_scales=made["scales"].log(),
        logit_opacities=torch.logit(made["opacities"]),
        sh0=(made["colors"][:, None] - 0.5) / SH_C0,
        shN=0.1 * torch.randn(count, (degree + 1) ** 2 - 1, 3, generator=torch.Generator().manual_seed(0)),
    )
    viewmat, K = raster_scenes.camera(size, size)
    return scene, Camera(viewmat, K, size, size)


def surfels(count: int, sh_degree: int = 0, seed: int = 0) -> Gaussians:
    """60% on balls, 30% on the floor, 10% on the sky, each sized to cover its surface a little more than once."""
    generator = torch.Generator().manual_seed(seed)
    on_balls, on_floor = int(0.6 * count), int(0.3 * count)
    parts = [
        _balls(on_balls, generator),
        _floor(on_floor, generator),
        _sky(count - on_balls - on_floor, generator),
    ]
    means, normals, spacing = (torch.cat(column) for column in zip(*parts, strict=True))
    scales = 0.6 * spacing[:, None] * torch.exp(0.5 * torch.randn(count, 3, generator=generator))
    scales[:, 2] *= 0.15
    bands = (sh_degree + 1) ** 2 - 1
    scene = Gaussians(
        means=means,
        quats=_facing(normals) + 0.15 * torch.randn(count, 4, generator=generator),
        log_scales=scales.log(),
        logit_opacities=2 * torch.randn(count, generator=generator) + 0.3,
        sh0=(torch.rand(count, 1, 3, generator=generator) - 0.5) / SH_C0,
        shN=0.1 * torch.randn(count, bands, 3, generator=generator),
    )
    return scene.take(torch.randperm(count, generator=generator))


def viewpoint(size: int) -> Camera:
    """A square view of 50 degrees onto the balls, slightly from above, principal point off centre."""
    eye, target = torch.tensor([0.5, -1.2, -4.0]), torch.tensor([0.0, 0.2, 0.0])
    forward = torch.nn.functional.normalize(target - eye, dim=0)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, torch.tensor([0.0, -1.0, 0.0])), dim=0)
    viewmat = torch.eye(4)
    viewmat[:3, :3] = torch.stack([right, torch.linalg.cross(forward, right), forward])
    viewmat[:3, 3] = -viewmat[:3, :3] @ eye
    focal = size / (2 * math.tan(math.radians(25)))
    K = torch.tensor([[focal, 0, 0.53 * size], [0, focal, 0.48 * size], [0, 0, 1]])
    return Camera(viewmat, K, size, size)


Surface = tuple[Tensor, Tensor, Tensor]
"""Positions (n, 3), unit normals (n, 3), spacing between neighbours (n,)."""


def _directions(count: int, generator: torch.Generator) -> Tensor:
    return torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)


def _balls(count: int, generator: torch.Generator) -> Surface:
    balls = torch.tensor(BALLS)
    which = torch.multinomial(balls[:, 3] ** 2, count, replacement=True, generator=generator)
    normals = _directions(count, generator)
    rough = 1 + 0.02 * torch.randn(count, 1, generator=generator)
    area = 4 * math.pi * float((balls[:, 3] ** 2).sum())
    return balls[which, :3] + normals * balls[which, 3:] * rough, normals, torch.full((count,), (area / count) ** 0.5)


def _floor(count: int, generator: torch.Generator) -> Surface:
    radius = FLOOR_RADIUS * torch.rand(count, generator=generator).sqrt()
    angle = 2 * math.pi * torch.rand(count, generator=generator)
    y = FLOOR_Y + 0.02 * torch.randn(count, generator=generator)
    positions = torch.stack([radius * angle.cos(), y, radius * angle.sin()], -1)
    spacing = (math.pi * FLOOR_RADIUS**2 / count) ** 0.5
    return positions, torch.tensor([0.0, 1.0, 0.0]).expand(count, 3), torch.full((count,), spacing)


def _sky(count: int, generator: torch.Generator) -> Surface:
    normals = _directions(count, generator)
    positions = normals * SKY_RADIUS * (0.8 + 0.4 * torch.rand(count, 1, generator=generator))
    return positions, normals, torch.full((count,), (4 * math.pi * SKY_RADIUS**2 / max(1, count)) ** 0.5)


def _facing(normals: Tensor) -> Tensor:
    """Quaternions that turn the z axis to the normals."""
    z = torch.tensor([0.0, 0.0, 1.0]).expand_as(normals)
    quats = torch.cat([1 + normals[:, 2:], torch.linalg.cross(z, normals)], -1)
    return torch.nn.functional.normalize(quats + 1e-6, dim=-1)
