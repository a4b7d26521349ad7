"""A splat that hangs before the cameras of `scenes.board`."""

import math

import torch

from gaussian_lens_app.scene import Gaussians


def ball(position: tuple[float, float, float], size: float, opacity: float = 0.9) -> Gaussians:
    """A dark blue one."""
    return Gaussians(
        torch.tensor([position]), torch.tensor([[1.0, 0, 0, 0]]), torch.full((1, 3), math.log(size)),
        torch.tensor([math.log(opacity / (1 - opacity))]), torch.tensor([[[-1.7, -1.7, 0.0]]]), torch.zeros(1, 0, 3),
    )  # fmt: skip


VEIL = (0.0, 1.6, -2.4)
"""Below the cameras' view, nearer than the board."""
