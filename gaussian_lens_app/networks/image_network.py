"""A small image network: renders, photo and residuals of a window -> a pyramid of features, modulated by rays.

It stands where the paper has a pretrained multi-view encoder; it is trained with the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from gaussian_lens_app.networks.views import Views

RAY_CHANNELS = 32
"""Spherical harmonics of degree 3 of a ray's direction and of its moment (LaRa's encoding of Pluecker coordinates)."""


class ImageNetwork(nn.Module):
    """Maps at `stride`, twice and four times that, all `width` channels."""

    def __init__(self, channels: int, width: int, stride: int):
        super().__init__()
        self.stride = stride
        self.stem = Pointwise(channels * stride**2, width)
        self.modulation = Pointwise(RAY_CHANNELS, 2 * width)
        for parameter in self.modulation.parameters():
            nn.init.zeros_(parameter)
        self.norm = nn.LayerNorm(width)
        self.fine, self.fine2 = _conv(width, width), _conv(width, width)
        self.middle, self.coarse = _conv(width, width, 2), _conv(width, width, 2)
        self.coarse2 = _conv(width, width)
        self.lateral_fine, self.lateral_middle = Pointwise(width, width), Pointwise(width, width)

    def forward(self, views: Views) -> tuple[Tensor, Tensor, Tensor]:
        """Feature maps (V, width, h, w), finest first."""
        x = self.stem(_folded(views.images, self.stride))
        scale, shift = self.modulation(views.rays).chunk(2, 1)
        x = self.norm(x.movedim(1, -1)).movedim(-1, 1) * (1 + scale) + shift
        fine = x + self.fine2(_act(self.fine(_act(x))))
        middle = self.middle(_act(fine))
        coarse = self.coarse(_act(middle))
        coarse = coarse + self.coarse2(_act(coarse))
        middle = self.lateral_middle(_act(middle)) + as_large(coarse, middle)
        return self.lateral_fine(_act(fine)) + as_large(middle, fine), middle, coarse


class Pointwise(nn.Linear):
    """A linear map of each pixel's channels as one matrix product: 1x1 convolutions are slow on processors."""

    def forward(self, input: Float[Tensor, "V C h w"]) -> Float[Tensor, "V O h w"]:
        flat = torch.matmul(self.weight, input.flatten(2)) + self.bias[:, None]
        return flat.view(len(input), -1, *input.shape[2:])


def _conv(channels: int, out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 3, stride, 1)


def _act(x: Tensor) -> Tensor:
    return F.hardswish(x)


def _folded(images: Float[Tensor, "V C H W"], stride: int) -> Float[Tensor, "V C*s*s H/s W/s"]:
    """Blocks of pixels as channels (torch's pixel_unshuffle is several times slower on processors)."""
    views, channels, height, width = images.shape
    blocks = images.view(views, channels, height // stride, stride, width // stride, stride)
    return blocks.permute(0, 1, 3, 5, 2, 4).reshape(views, -1, height // stride, width // stride)


def as_large(x: Tensor, like: Tensor) -> Tensor:
    """`x` enlarged to the height and width of `like`."""
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)


def padded_stack(
    windows: Sequence[Float[Tensor, "h w C"]], multiple: int, least: tuple[int, int] = (0, 0)
) -> Float[Tensor, "V C H W"]:
    """Windows of different sizes in one tensor of at least that height and width, zeros to the right and below."""
    height = -(-max(least[0], *(window.shape[0] for window in windows)) // multiple) * multiple
    width = -(-max(least[1], *(window.shape[1] for window in windows)) // multiple) * multiple
    planes = [window.permute(2, 0, 1) for window in windows]
    return torch.stack([F.pad(p, (0, width - p.shape[2], 0, height - p.shape[1])) for p in planes])
