"""Scenes for tests of the camera."""

import torch

from gaussian_lens_app.scene import Gaussians


def cloud(count: int) -> Gaussians:
    """Gaussians spread evenly over a cube of two units, around the origin."""
    means = 2 * torch.rand(count, 3, generator=torch.Generator().manual_seed(0)) - 1
    quats = torch.zeros(count, 4)
    quats[:, 0] = 1
    return Gaussians(
        means,
        quats,
        torch.full((count, 3), -3.0),
        torch.zeros(count),
        torch.zeros(count, 1, 3),
        torch.zeros(count, 0, 3),
    )
