"""Compiles the CPU kernels before the first picture is wanted."""

from __future__ import annotations

from collections.abc import Callable

import torch

from gaussian_lens_app.scene import Camera, Gaussians


def warm_up(announce: Callable[[str], None]) -> None:
    """Load the kernels, or compile them after saying so: draws and differentiates one Gaussian.

    Safe on a background thread; a render that comes meanwhile waits for the same compilation.
    """
    from gaussian_lens_app.raster.cpu import CpuRasterizer
    from gaussian_lens_app.raster.numba_kernels.jit import is_cold

    if is_cold():
        announce("Compiling the renderer for this processor (once, about 20 s)...")
    scene = Gaussians(
        means=torch.tensor([[0.0, 0.0, 2.0]]),
        quats=torch.tensor([[1.0, 0.0, 0.0, 0.0]]),
        log_scales=torch.full((1, 3), -1.0),
        logit_opacities=torch.zeros(1),
        sh0=torch.zeros(1, 1, 3),
        shN=torch.zeros(1, 0, 3),
    ).map(lambda tensor: tensor.requires_grad_())
    camera = Camera(torch.eye(4), torch.tensor([[16.0, 0, 8], [0, 16, 8], [0, 0, 1]]), 16, 16)
    rasterizer, features = CpuRasterizer(), torch.zeros(1, 1, requires_grad=True)
    with torch.enable_grad():
        render = rasterizer.render(scene, camera, features=features)
        (render.rgb.sum() + render.depth.sum()).backward()
    rasterizer.contributions(scene, camera, torch.ones(16, 16, 1))
