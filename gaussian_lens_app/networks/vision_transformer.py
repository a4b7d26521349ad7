"""Transformer blocks over the patches of several images: attention within an image, and to other images' tokens."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from gaussian_lens_app.networks.point_transformer import perceptron


class Attention(nn.Module):
    """Scaled dot-product attention of tokens to tokens, of the same or of another set."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q, self.kv, self.out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "B N C"], others: Float[Tensor, "B M C"], allowed: Bool[Tensor, "B M"] | None
    ) -> Float[Tensor, "B N C"]:
        """`allowed` says which of the others count; at least one must in each batch. None: all, which is faster."""
        batch, count, width = x.shape
        q = self.q(x).view(batch, count, self.heads, -1).transpose(1, 2)
        k, v = self.kv(others).view(batch, others.shape[1], 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        mask = None if allowed is None else allowed[:, None, None]
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(mixed.transpose(1, 2).reshape(batch, count, width))


class SelfBlock(nn.Module):
    """Attention within each image, then a perceptron; both added to what came in."""

    def __init__(self, width: int, heads: int, mlp_ratio: int):
        super().__init__()
        self.before, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.before_mlp, self.mlp = nn.LayerNorm(width), perceptron(width, mlp_ratio * width, width)

    def forward(self, x: Float[Tensor, "V N C"], real: Bool[Tensor, "V N"] | None) -> Float[Tensor, "V N C"]:
        tokens = self.before(x)
        x = x + self.attention(tokens, tokens, real)
        return x + self.mlp(self.before_mlp(x))


class CrossBlock(nn.Module):
    """The same, and between the two attention to the tokens of all other images (alone, an image sees itself)."""

    def __init__(self, width: int, heads: int, mlp_ratio: int):
        super().__init__()
        self.within, self.between = Attention(width, heads), Attention(width, heads)
        self.before, self.before_between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.before_mlp, self.mlp = nn.LayerNorm(width), perceptron(width, mlp_ratio * width, width)

    def forward(self, x: Float[Tensor, "V N C"], real: Bool[Tensor, "V N"] | None) -> Float[Tensor, "V N C"]:
        tokens = self.before(x)
        x = x + self.within(tokens, tokens, real)
        every = self.before_between(x)
        others, allowed = every, real
        if len(x) > 1:
            others = _of_the_others(every)
            allowed = None if real is None else _of_the_others(real)
        x = x + self.between(every, others, allowed)
        return x + self.mlp(self.before_mlp(x))


def _of_the_others(tokens: Tensor) -> Tensor:
    """(V, N, ...) -> (V, (V - 1) N, ...): for each image what all other images have."""
    views = len(tokens)
    rows = [[other for other in range(views) if other != view] for view in range(views)]
    return tokens[torch.tensor(rows, device=tokens.device)].flatten(1, 2)


class Refinement(nn.Module):
    """Bi-directional cross-attention of two sets of tokens for the same patches, joined by a linear layer (SR3R)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.before, self.before_geometry = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_geometry, self.to_image = Attention(width, heads), Attention(width, heads)
        self.join = nn.Linear(2 * width, width)

    def forward(
        self, image: Float[Tensor, "V N C"], geometry: Float[Tensor, "V N C"], real: Bool[Tensor, "V N"] | None
    ) -> Float[Tensor, "V N C"]:
        """Image tokens that know the geometry."""
        t_image, t_geometry = self.before(image), self.before_geometry(geometry)
        there, back = self.to_geometry(t_image, t_geometry, real), self.to_image(t_geometry, t_image, real)
        return image + self.join(torch.cat([there, back], -1))


def patches_of(images: Float[Tensor, "V C H W"], size: int) -> Float[Tensor, "V N C*s*s"]:
    """Square patches as rows, row by row; sides must be multiples of `size`."""
    views, channels, height, width = images.shape
    blocks = images.view(views, channels, height // size, size, width // size, size)
    return blocks.permute(0, 2, 4, 1, 3, 5).reshape(views, (height // size) * (width // size), -1)


def unfolded(tokens: Float[Tensor, "V N C"], height: int, width: int, size: int) -> Float[Tensor, "V C/s/s H*s W*s"]:
    """Tokens as images whose pixels are parts of the channels: the inverse of `patches_of`."""
    views, _, channels = tokens.shape
    blocks = tokens.view(views, height, width, channels // size**2, size, size)
    return blocks.permute(0, 3, 1, 4, 2, 5).reshape(views, -1, height * size, width * size)


def place_codes(height: int, width: int, channels: int, device: torch.device) -> Float[Tensor, "N C"]:
    """Sines and cosines of the distance from the middle of the window, in patches; the same for windows of any size."""
    quarter = channels // 4
    frequencies = torch.exp(-math.log(50.0) * torch.arange(quarter, device=device) / quarter) * (math.pi / 2)
    y = (torch.arange(height, device=device) - (height - 1) / 2)[:, None, None] * frequencies
    x = (torch.arange(width, device=device) - (width - 1) / 2)[None, :, None] * frequencies
    y, x = y.expand(height, width, quarter), x.expand(height, width, quarter)
    codes = torch.cat([x.sin(), x.cos(), y.sin(), y.cos()], -1)
    return F.pad(codes.reshape(height * width, -1), (0, channels - 4 * quarter))
