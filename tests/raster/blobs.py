"""Small random scenes, cameras and losses for the rasterizer tests."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gaussian_lens_app.raster import Rasterizer, Render
from gaussian_lens_app.scene import Camera, Gaussians

GRADIENTS = ("means", "quats", "log_scales", "logit_opacities", "sh0", "shN", "features", "background", "probe")


def blobs(count: int = 300, sh_degree: int = 0, seed: int = 0, dtype: torch.dtype = torch.float64) -> Gaussians:
    """Gaussians of many sizes and shapes around the origin."""
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    return Gaussians(
        means=randn(count, 3) * 0.8,
        quats=randn(count, 4),
        log_scales=randn(count, 3) * 0.6 - 2.3,
        logit_opacities=randn(count),
        sh0=randn(count, 1, 3) * 0.5,
        shN=randn(count, (sh_degree + 1) ** 2 - 1, 3) * 0.2,
    )


def camera(width: int = 70, height: int = 53, distance: float = 2.5) -> Camera:
    """A camera looking down z at the origin; principal point off centre, sides no multiples of a tile."""
    viewmat = torch.eye(4, dtype=torch.float64)
    viewmat[2, 3] = distance
    K = torch.tensor([[60.0, 0, 41.5], [0, 55, 19.2], [0, 0, 1]], dtype=torch.float64)
    return Camera(viewmat, K, width, height)


@dataclass(frozen=True, eq=False)
class Outcome:
    """A render and the gradients of a random linear loss on all of it."""

    render: Render
    gradients: dict[str, Tensor]


def outcome(rasterizer: Rasterizer, scene: Gaussians, view: Camera, seed: int = 1, **options) -> Outcome:
    """Render with features, background and probe, and differentiate; in float64 for the reference, else float32."""
    generator = torch.Generator().manual_seed(seed)
    exact = rasterizer.name == "reference"

    def leaf(tensor: Tensor) -> Tensor:
        return tensor.to(rasterizer.device, torch.float64 if exact else torch.float32).clone().requires_grad_()

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    leaves = [leaf(tensor) for _, tensor in scene.tensors()]
    leaves += [leaf(rand(len(scene), 5)), leaf(rand(3)), leaf(torch.zeros(len(scene), 4))]
    features, background, probe = leaves[6:]
    render = rasterizer.render(
        Gaussians(*leaves[:6]), view, features=features, background=background, probe=probe, **options
    )
    assert render.features is not None
    loss = torch.zeros((), dtype=leaves[0].dtype, device=rasterizer.device)
    for image in (render.rgb, render.alpha, render.depth, render.features):
        loss = loss + (image * (rand(*image.shape) - 0.5).to(image)).sum()
    return Outcome(render, dict(zip(GRADIENTS, torch.autograd.grad(loss, leaves), strict=True)))


def relative_error(value: Tensor, truth: Tensor) -> float:
    """|value - truth| / |truth|, both as vectors; 0 when both are empty or zero."""
    difference, size = (value.detach().cpu().double() - truth.detach().double()).norm(), truth.detach().double().norm()
    return float(difference) if size == 0 else float(difference / size)
