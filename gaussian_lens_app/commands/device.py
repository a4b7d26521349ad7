"""The rasterizer of a command, ready to run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaussian_lens_app.commands.reading import tell

if TYPE_CHECKING:
    from gaussian_lens_app.raster import Rasterizer


def ready_rasterizer(device: str) -> Rasterizer:
    """The device's rasterizer with everything compiled, so that a budget in seconds is spent on the work."""
    import torch

    from gaussian_lens_app.optimize.losses import l1_dssim
    from gaussian_lens_app.raster import for_device
    from gaussian_lens_app.raster.warmup import warm_up

    rasterizer = for_device(device)
    if rasterizer.device == "cpu":
        warm_up(tell)
        picture = torch.zeros(16, 16, 3, requires_grad=True)
        l1_dssim(picture, torch.zeros(16, 16, 3), mask=torch.ones(16, 16)).backward()
    return rasterizer
