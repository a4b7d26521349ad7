"""Low-resolution scenes to be sharpened: optimised at low resolution, or one Gaussian per pixel of two photos."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.optimize.reconstruct import ReconstructSettings, reconstruct
from gaussian_lens_app.raster import Rasterizer
from gaussian_lens_app.scene import SH_C0, Camera, Capture, Gaussians, SparsePoints
from gaussian_lens_app.training.worlds import Photographed


@dataclass(frozen=True)
class ScaffoldSettings:
    """Ranges that a scaffold's properties are drawn from."""

    factor: int = 4
    """The photos are so many times larger than what the scaffold is made from."""
    pixel_aligned: float = 0.3
    """Part of the scenes whose scaffold comes from two photos' pixels, as feed-forward programs write them."""
    steps: tuple[int, int] = (500, 2500)
    """Optimisation steps, log-uniform."""
    gaussians: tuple[int, int] = (4000, 12_000)
    """The optimised scene stops growing somewhere here."""
    points: tuple[int, int] = (500, 3000)
    """Sparse points that optimisation starts from."""
    mcmc: float = 0.2
    """Part of the optimised scenes made with relocation instead of adaptive density control."""


@dataclass(frozen=True, eq=False)
class Scaffold:
    """A low-resolution scene, and which photos it knows."""

    scene: Gaussians
    context: tuple[int, ...]
    """Photos that made it, or that a method may look at; all others are for measuring."""
    kind: str


def random_scaffold(
    taken: Photographed, rng: np.random.Generator, rasterizer: Rasterizer, settings: ScaffoldSettings
) -> Scaffold:
    """A scaffold of a random kind for a procedural capture; every third photo stays unseen."""
    context = tuple(i for i in range(len(taken.capture)) if i % 3 != 1)
    if rng.random() < settings.pixel_aligned:
        first = int(rng.integers(len(context) - 2))
        pair = (context[first], context[first + int(rng.integers(1, 3))])
        return Scaffold(pixel_aligned(taken, pair, rng, settings.factor), context, "pixel-aligned")
    points = noisy_points(taken, context, int(rng.integers(*settings.points)), rng)
    capture = Capture(taken.capture.only(list(context)).photos, points)
    chosen = random_optimisation(rng, settings, long_side_of(taken.capture) // settings.factor)
    return Scaffold(reconstruct(capture, chosen, rasterizer), context, f"{chosen.strategy} {chosen.steps}")


def random_optimisation(rng: np.random.Generator, settings: ScaffoldSettings, long_side: int) -> ReconstructSettings:
    """Settings of a short optimisation at low resolution."""
    low, high = settings.steps
    return ReconstructSettings(
        long_side=long_side,
        steps=int(low * (high / low) ** rng.random()),
        strategy="mcmc" if rng.random() < settings.mcmc else "adaptive",
        max_gaussians=int(rng.integers(*settings.gaussians)),
        seed=int(rng.integers(1 << 30)),
    )


def long_side_of(capture: Capture) -> int:
    return max(max(photo.camera.width, photo.camera.height) for photo in capture.photos)


def noisy_points(taken: Photographed, photos: tuple[int, ...], count: int, rng: np.random.Generator) -> SparsePoints:
    """Points as structure from motion finds them: on the surfaces, a little off, a few wrong."""
    positions, colours = [], []
    for i in photos:
        camera, depth = taken.capture.photos[i].camera, taken.depths[i]
        rows = torch.from_numpy(rng.integers(camera.height, size=count // len(photos) + 1))
        columns = torch.from_numpy(rng.integers(camera.width, size=len(rows)))
        error = np.where(
            rng.random(len(rows)) < 0.02, rng.normal(size=len(rows)) * 0.2, rng.normal(size=len(rows)) * 0.004
        )
        z = depth[rows, columns] * torch.from_numpy(np.exp(error)).float()
        seen = z > 0
        pixels = torch.stack([columns, rows], -1).float() + 0.5
        positions.append(camera.unproject(pixels, z)[seen])
        colours.append(taken.capture.photos[i].load()[rows, columns][seen])
    return SparsePoints(torch.cat(positions), torch.cat(colours))


def pixel_aligned(taken: Photographed, photos: tuple[int, int], rng: np.random.Generator, factor: int) -> Gaussians:
    """One Gaussian per low-resolution pixel of two photos, at a depth with smooth errors and some outliers."""
    wobble, outliers = rng.uniform(0.002, 0.02), rng.uniform(0, 0.01)
    sigma, opacity = rng.uniform(0.45, 0.75), rng.uniform(0.6, 0.95)
    layers = []
    for i in photos:
        photo = taken.capture.photos[i].with_long_side(long_side_of(taken.capture) // factor)
        camera = photo.camera
        depth = _reduced(taken.depths[i], camera) * torch.exp(wobble * _smooth_noise(rng, camera.height, camera.width))
        wrong = torch.from_numpy(rng.random(depth.shape) < outliers)
        depth = torch.where(wrong, depth * float(np.exp(0.2 * rng.normal())), depth)
        layers.append(unprojected(camera, depth, photo.load().float() / 255, sigma, opacity))
    return Gaussians.concat(layers)


def unprojected(
    camera: Camera, depth: Float[Tensor, "h w"], colours: Float[Tensor, "h w 3"], sigma: float, opacity: float
) -> Gaussians:
    """A round Gaussian of `sigma` pixels for every pixel that has a depth."""
    seen = depth > 0
    means = camera.unproject(camera.pixel_centres(), depth)[seen]
    count = len(means)
    quats = torch.zeros(count, 4)
    quats[:, 0] = 1
    log_scales = (sigma * depth[seen] / camera.K[0, 0]).log()[:, None].repeat(1, 3)
    logits = torch.full((count,), math.log(opacity / (1 - opacity)))
    sh0 = (colours[seen][:, None] - 0.5) / SH_C0
    return Gaussians(means, quats, log_scales, logits, sh0, torch.zeros(count, 0, 3))


def _reduced(depth: Float[Tensor, "H W"], camera: Camera) -> Float[Tensor, "h w"]:
    return F.interpolate(depth[None, None], (camera.height, camera.width), mode="nearest-exact")[0, 0]


def _smooth_noise(rng: np.random.Generator, height: int, width: int) -> Float[Tensor, "h w"]:
    """Standard normal values on a coarse grid, enlarged."""
    cells = int(rng.integers(3, 12))
    grid = torch.from_numpy(rng.normal(size=(1, 1, cells, cells))).float()
    return F.interpolate(grid, (height, width), mode="bicubic")[0, 0]
