"""A small image network: renders, photo and residuals of a window -> a pyramid of features, modulated by rays.

It stands where the paper has a pretrained multi-view encoder; it is trained with the rest. All its tensors keep a
pixel's channels side by side in memory: on a processor that takes half the time. So does bfloat16 inside, where the
processor knows it; the same in the point transformer costs quality and saves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

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
        """Feature maps (V, width, h, w), finest first; in bfloat16 inside where that is faster and nothing learns."""
        fast = views.images.device.type == "cpu" and not torch.is_grad_enabled() and knows_bfloat16()
        with torch.autocast("cpu", torch.bfloat16) if fast else nullcontext():
            fine, middle, coarse = self._maps(views)
        return fine.float(), middle.float(), coarse.float()

    def _maps(self, views: Views) -> tuple[Tensor, Tensor, Tensor]:
        x = self._stem(views.images)
        scale, shift = self.modulation(views.rays).chunk(2, 1)
        x = self.norm(x.movedim(1, -1)).movedim(-1, 1) * (1 + scale) + shift
        fine = x + self.fine2(_act(self.fine(_act(x))))
        middle = self.middle(_act(fine))
        coarse = self.coarse(_act(middle))
        coarse = coarse + self.coarse2(_act(coarse))
        middle = self.lateral_middle(_act(middle)) + as_large(coarse, middle)
        return self.lateral_fine(_act(fine)) + as_large(middle, fine), middle, coarse

    def _stem(self, images: Float[Tensor, "V C H W"]) -> Float[Tensor, "V width h w"]:
        """A linear map of each block of `stride` x `stride` pixels."""
        weight = self.stem.weight.view(len(self.stem.weight), -1, self.stride, self.stride)
        return F.conv2d(images.contiguous(memory_format=torch.channels_last), weight, self.stem.bias, self.stride)


class Pointwise(nn.Linear):
    """A linear map of each pixel's channels as one matrix product: 1x1 convolutions are slow on processors."""

    def forward(self, input: Float[Tensor, "V C h w"]) -> Float[Tensor, "V O h w"]:
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


def knows_bfloat16() -> bool:
    """Whether the processor multiplies in bfloat16; torch, which also computes it where that is slower, asks so."""
    asked = (getattr(torch.cpu, f"_is_{what}_supported", None) for what in ("avx512_bf16", "amx_tile"))
    return any(ask is not None and ask() for ask in asked)


def _conv(channels: int, out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 3, stride, 1)


def _act(x: Tensor) -> Tensor:
    return F.hardswish(x)


def as_large(x: Tensor, like: Tensor) -> Tensor:
    """`x` enlarged to the height and width of `like`."""
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)


def padded_stack(
    windows: Sequence[Float[Tensor, "h w C"]], multiple: int, least: tuple[int, int] = (0, 0)
) -> Float[Tensor, "V C H W"]:
    """Windows of different sizes in one tensor of at least that height and width, zeros to the right and below; a
    pixel's channels stay side by side in memory."""
    height = -(-max(least[0], *(window.shape[0] for window in windows)) // multiple) * multiple
    width = -(-max(least[1], *(window.shape[1] for window in windows)) // multiple) * multiple
    stack = windows[0].new_zeros(len(windows), height, width, windows[0].shape[-1])
    for plane, window in zip(stack, windows, strict=True):
        plane[: window.shape[0], : window.shape[1]] = window
    return stack.movedim(-1, 1)
