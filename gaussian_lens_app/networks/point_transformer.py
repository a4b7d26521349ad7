"""A point transformer U-Net in plain torch, after Point Transformer V3 (Wu et al. 2024): serialised patch attention,
conditional position encoding along the curve, grid pooling. Layer norms throughout, as batches are single regions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from gaussian_lens_app.networks.serialise import Patches, Pooling, curve_orders


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes of the U-Net, finest level first."""

    widths: tuple[int, ...] = (48, 64, 96)
    depths: tuple[int, ...] = (1, 1, 2)
    """Blocks a level on the way down."""
    decoder_depths: tuple[int, ...] = (1, 1)
    """Blocks a level on the way up, finest first; the coarsest has none."""
    patches: tuple[int, ...] = (64, 64, 128)
    """Points that attend to each other, a level."""
    heads: int = 4
    mlp_ratio: int = 2
    cells: tuple[float, ...] = (1.0, 4.0, 16.0)
    """Grid cells of each level, in units of the spacing between pixel Gaussians."""


class Level:
    """Positions of one level and what follows from them."""

    def __init__(self, positions: Float[Tensor, "N 3"], cell: Tensor | float, patch: int):
        self.positions = positions
        self.patches = [Patches.of(order, patch) for order in curve_orders(positions, cell)]
        self.cell = cell


class Block(nn.Module):
    """Position encoding, patch attention and a perceptron, each added to what came in."""

    def __init__(self, width: int, heads: int, mlp_ratio: int, order: int):
        super().__init__()
        self.heads, self.order = heads, order
        self.along = AlongCurve(width)
        self.place = nn.Linear(3, width)
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = perceptron(width, mlp_ratio * width, width)

    def forward(self, x: Float[Tensor, "N C"], level: Level) -> Float[Tensor, "N C"]:
        patches = level.patches[self.order]
        runs = x[patches.gather].view(-1, patches.size, x.shape[1])
        places = level.positions[patches.gather].view(-1, patches.size, 3)
        places = (places - places.mean(1, keepdim=True)) / level.cell
        runs = runs + self.along(runs) + self.place(squashed(places))
        runs = runs + self._attend(self.before_attention(runs))
        runs = runs + self.mlp(self.before_mlp(runs))
        return runs.reshape(-1, x.shape[1])[patches.scatter]

    def _attend(self, runs: Float[Tensor, "B S C"]) -> Float[Tensor, "B S C"]:
        batch, size, width = runs.shape
        q, k, v = self.qkv(runs).view(batch, size, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).reshape(batch, size, width))


class AlongCurve(nn.Module):
    """A depthwise convolution over five neighbours along the curve (shifted sums: no transposes)."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(5, width).uniform_(-0.4, 0.4))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, runs: Float[Tensor, "B S C"]) -> Float[Tensor, "B S C"]:
        size = runs.shape[1]
        padded = F.pad(runs, (0, 0, 2, 2))
        out = torch.addcmul(self.bias, padded[:, :size], self.weight[0])
        for tap in range(1, 5):
            out = torch.addcmul(out, padded[:, tap : tap + size], self.weight[tap])
        return out


class PointTransformer(nn.Module):
    """Features of points -> features of the same points that know their surroundings."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.config = config
        widths, heads, ratio = config.widths, config.heads, config.mlp_ratio
        levels = range(len(widths))
        self.down = nn.ModuleList(
            nn.ModuleList(Block(widths[n], heads, ratio, i % 2) for i in range(config.depths[n])) for n in levels
        )
        self.up = nn.ModuleList(
            nn.ModuleList(Block(widths[n], heads, ratio, (i + 1) % 2) for i in range(config.decoder_depths[n]))
            for n in levels[:-1]
        )
        self.pooled = nn.ModuleList(nn.Linear(widths[n], widths[n + 1]) for n in levels[:-1])
        self.raised = nn.ModuleList(nn.Linear(widths[n + 1], widths[n]) for n in levels[:-1])
        self.skipped = nn.ModuleList(nn.Linear(widths[n], widths[n]) for n in levels[:-1])

    def forward(
        self,
        x: Float[Tensor, "N C"],
        positions: Float[Tensor, "N 3"],
        spacing: Tensor | float,
        attend: Callable[[int, Tensor, Tensor], Tensor] = lambda level, x, positions: x,
    ) -> Float[Tensor, "N C"]:
        """`attend(level, x, positions)` is called at the end of every decoder stage, coarse to fine."""
        levels, poolings, skips = [Level(positions, spacing * self.config.cells[0], self.config.patches[0])], [], []
        for n, blocks in enumerate(self.down):
            for block in blocks:  # pyright: ignore[reportGeneralTypeIssues]
                x = block(x, levels[n])
            if n + 1 < len(self.down):
                skips.append(x)
                cell = spacing * self.config.cells[n + 1]
                poolings.append(Pooling.of(levels[n].positions, cell))
                x = poolings[n].pool(self.pooled[n](x))
                levels.append(Level(poolings[n].positions, cell, self.config.patches[n + 1]))
        for n in reversed(range(len(self.up))):
            x = self.skipped[n](skips[n]) + poolings[n].unpool(self.raised[n](x))
            for block in self.up[n]:  # pyright: ignore[reportGeneralTypeIssues]
                x = block(x, levels[n])
            x = attend(n, x, levels[n].positions)
        return x


def perceptron(width: int, hidden: int, out: int) -> nn.Sequential:
    """Two layers; hard-swish costs a third of GELU on processors."""
    return nn.Sequential(nn.Linear(width, hidden), nn.Hardswish(), nn.Linear(hidden, out))


def squashed(x: Tensor) -> Tensor:
    """x where small, its root where large: heavy tails tamed without logarithms."""
    return x * torch.rsqrt(1 + x.abs())
