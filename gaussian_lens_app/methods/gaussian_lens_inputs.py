"""What GaussianLens works on, taken from a task: the Gaussians of the region, pixel Gaussians, windows of photos."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.methods.pixel_gaussians import PixelSettings, pixel_gaussians
from gaussian_lens_app.methods.targets import Target
from gaussian_lens_app.raster import RenderMode
from gaussian_lens_app.scene import Gaussians


@dataclass(frozen=True, eq=False)
class LensInputs:
    """Everything one forward pass may see."""

    frozen: Gaussians
    """The surroundings that may show in a window; never changed."""
    old: Gaussians
    """The selected Gaussians."""
    new: Gaussians
    """Pixel Gaussians, faint."""
    windows: tuple[Target, ...]
    """Of the context photos, best first."""
    mode: RenderMode

    @property
    def union(self) -> Gaussians:
        """What the network changes: selected Gaussians, then pixel Gaussians."""
        return Gaussians.concat([self.old, self.new])

    @property
    def is_pixel(self) -> Bool[Tensor, "P"]:
        count = len(self.old) + len(self.new)
        return torch.arange(count, device=self.old.device) >= len(self.old)


def pixel_layer(
    windows: Sequence[Target], photos: int, stride: int, budget: int, settings: PixelSettings
) -> tuple[Gaussians, int]:
    """(pixel Gaussians from the first `photos` windows, the stride that keeps them within `budget`)."""
    sources = windows[:photos]
    pixels = sum(int(window.mask.sum()) for window in sources)
    stride = max(stride, math.ceil(math.sqrt(pixels / max(1, budget))))
    layers = [
        pixel_gaussians(window, [other for other in windows if other is not window], stride, settings)
        for window in sources
    ]
    return Gaussians.concat(layers), stride


def footprints(means: Float[Tensor, "P 3"], windows: Sequence[Target]) -> Float[Tensor, "P"]:
    """World length of a pixel at each mean, in the photo that shows it largest."""
    sizes = []
    for window in windows:
        depths = window.camera.to_camera(means)[:, 2]
        sizes.append(torch.where(depths > 1e-6, depths / window.camera.K[0, 0], torch.inf))
    smallest = torch.stack(sizes).amin(0)
    finite = smallest[smallest.isfinite()]
    return torch.where(smallest.isfinite(), smallest, finite.median() if len(finite) else smallest.new_ones(()))
