"""Which Gaussians the picture depends on most: the Gauss-Newton diagonal of the render with respect to the centres."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.jobs.report import Report, silent
from gaussian_lens_app.raster import ANTIALIASED, Rasterizer, RenderMode
from gaussian_lens_app.scene import Box, Camera, Gaussians

LONG_SIDE = 320
"""Synthetic pictures are small: what they do not resolve no finer Gaussian would show."""
RING = 12
PROBES = 2
WIDE = math.radians(50)
"""Field of view of synthetic cameras."""


def sensitivity(
    scene: Gaussians,
    cameras: Sequence[Camera],
    rasterizer: Rasterizer,
    mode: RenderMode = ANTIALIASED,
    probes: int = PROBES,
    seed: int = 0,
    report: Report = silent,
) -> Float[Tensor, "N"]:
    """How much the pictures change, squared, when each Gaussian moves; a picture each camera, world units.

    The diagonal of J^T J by Rademacher probes v: E[(J^T v)^2]; it needs no photo, only derivatives of renders.
    """
    generator = torch.Generator().manual_seed(seed)
    means = scene.means.detach().clone().requires_grad_()
    moving = dataclasses.replace(scene.detach(), means=means)
    total = torch.zeros_like(means)
    for index, camera in enumerate(cameras):
        report("Finding what the picture depends on", index / len(cameras))
        small = camera.with_long_side(LONG_SIDE).to(scene.device)
        for _ in range(probes):
            rgb = rasterizer.render(moving, small, mode=mode).rgb
            signs = torch.randint(0, 2, rgb.shape, generator=generator).to(rgb) * 2 - 1
            (gradient,) = torch.autograd.grad((rgb * signs).sum(), means)
            total += gradient.square()
    return total.sum(-1) / max(1, probes * len(cameras))


def most_sensitive(
    values: Float[Tensor, "N"], share: float, among: Bool[Tensor, "N"] | None = None
) -> Bool[Tensor, "N"]:
    """The share of `among` (all, unless given) with the largest values, those of zero left out."""
    among = torch.ones_like(values, dtype=torch.bool) if among is None else among
    count = math.ceil(share * int(among.sum()))
    ranked = torch.where(among, values, -1.0)
    chosen = torch.zeros_like(among)
    chosen[ranked.topk(count).indices] = True
    return chosen & (ranked > 0)


def cameras_around(scene: Gaussians, count: int = RING) -> tuple[Camera, ...]:
    """Synthetic cameras on a sphere around a scene (or the part of one), spread evenly, all looking at its middle."""
    middle = scene.means.median(0).values
    distances = (scene.means - middle).norm(dim=-1)
    radius = float(torch.quantile(distances[:: max(1, len(distances) // 100_000)], 0.9).clamp_min(1e-6))
    distance = 1.1 * radius / math.sin(WIDE / 2)
    golden = math.pi * (3 - math.sqrt(5))
    found = []
    for i in range(count):
        height = 1 - 2 * (i + 0.5) / count
        flat = math.sqrt(1 - height**2)
        way = middle.new_tensor([flat * math.cos(golden * i), height, flat * math.sin(golden * i)])
        found.append(looking_at(middle + distance * way, middle))
    return tuple(found)


def cameras_near(
    box: Box, middle: Float[Tensor, "3"], count: int = RING, turn: float = math.radians(25)
) -> tuple[Camera, ...]:
    """The box's camera, then cameras on a cone around its line of sight to the middle of what is in the box."""
    eye = box.camera.position.to(middle)
    axis = middle - eye
    side = torch.linalg.cross(axis, box.camera.camtoworld[:3, 1].to(middle))
    side = torch.nn.functional.normalize(side, dim=0)
    up = torch.linalg.cross(torch.nn.functional.normalize(axis, dim=0), side)
    found = [looking_at(eye, middle)]
    for i in range(count - 1):
        angle = 2 * math.pi * i / max(1, count - 1)
        way = math.cos(angle) * side + math.sin(angle) * up
        found.append(looking_at(middle - math.cos(turn) * axis + math.sin(turn) * axis.norm() * way, middle))
    return tuple(found)


def looking_at(place: Float[Tensor, "3"], target: Float[Tensor, "3"]) -> Camera:
    """A square synthetic camera."""
    forward = torch.nn.functional.normalize((target - place).double(), dim=0)
    down = forward.new_tensor([0.0, 1, 0] if abs(float(forward[1])) < 0.95 else [1.0, 0, 0])
    right = torch.nn.functional.normalize(torch.linalg.cross(down, forward), dim=0)
    turn = torch.stack([right, torch.linalg.cross(forward, right), forward])
    viewmat = torch.eye(4, dtype=torch.float64)
    viewmat[:3, :3] = turn.cpu()
    viewmat[:3, 3] = -(turn @ place.double()).cpu()
    focal = LONG_SIDE / 2 / math.tan(WIDE / 2)
    K = torch.tensor([[focal, 0, LONG_SIDE / 2], [0, focal, LONG_SIDE / 2], [0, 0, 1.0]])
    return Camera(viewmat.float(), K, LONG_SIDE, LONG_SIDE)
