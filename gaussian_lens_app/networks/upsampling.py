"""One layer of Generative Densification (Nam et al. 2024): every Gaussian's features become those of its children.

UP places the children and gives each its own features, SPLIT chooses which children go on to the next layer, HEAD says
what each child changes about the Gaussian that it starts from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from gaussian_lens_app.networks.cross_attention import ProjectionAttention
from gaussian_lens_app.networks.point_transformer import Block, Level, perceptron, squashed
from gaussian_lens_app.networks.residuals import Residuals

FREQUENCIES = 6
"""sin and cos of so many octaves of a child's place; the paper has 15, for which our grids are too coarse."""
BOUND_SCALE, BOUND_TURN, BOUND_LOGIT, BOUND_COLOUR = 0.6, 0.4, 2.0, 0.3
"""Largest free change of a child: e-folds, radians, logits, colour."""
START = 0.4
"""How far from the middle children start, in half grid cells."""
LOCAL = 7
"""Numbers that say how a child's place differs from its parent's: residual at two blurs, and squared residual."""
GATE_LOCAL = 0.4
"""Part of the local residual that a child's colour takes before anything is learned."""


@dataclass(frozen=True)
class LayerConfig:
    """Sizes of one layer."""

    width: int = 64
    factor: int = 2
    """Children of each Gaussian (the paper's R)."""
    blocks: int = 2
    heads: int = 4
    mlp_ratio: int = 2
    patch: int = 64
    """Gaussians that attend to each other."""


class AdaptiveNorm(nn.Module):
    """affine(g) * LN(f), g the mean of the features that densification started from (global AdaLN, scale only)."""

    def __init__(self, width: int, global_width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.affine = nn.Linear(global_width, width)
        nn.init.zeros_(self.affine.weight)
        nn.init.ones_(self.affine.bias)

    def forward(self, x: Float[Tensor, "N C"], everywhere: Float[Tensor, "G"]) -> Float[Tensor, "N C"]:
        return self.norm(x) * self.affine(everywhere)


class Up(nn.Module):
    """Serialised attention, then R places and R features for each Gaussian."""

    def __init__(self, width_in: int, global_width: int, config: LayerConfig):
        super().__init__()
        self.config, width = config, config.width
        self.enter = nn.Linear(width_in, width)
        self.adapt = AdaptiveNorm(width, global_width)
        self.blocks = nn.ModuleList(Block(width, config.heads, config.mlp_ratio, i % 2) for i in range(config.blocks))
        self.offset = perceptron(width, width, 3 * config.factor)
        last = self.offset[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        with torch.no_grad():
            last.bias.copy_(torch.atanh(starting_places(config.factor)).flatten())
        self.embed = perceptron(6 * FREQUENCIES + width, 2 * width, width)
        self.keep = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "N W"], everywhere: Float[Tensor, "G"], positions: Float[Tensor, "N 3"], cell: Tensor
    ) -> tuple[Float[Tensor, "N R 3"], Float[Tensor, "N R C"]]:
        """(each child's place in half grid cells along its parent's axes, -1 to 1; its features)."""
        x, factor = self.adapt(self.enter(x), everywhere), self.config.factor
        level = Level(positions, cell, self.config.patch)
        for block in self.blocks:
            x = block(x, level)
        places = torch.tanh(self.offset(x)).view(len(x), factor, 3)
        repeated = x[:, None].expand(-1, factor, -1)
        change = self.embed(torch.cat([octaves(places), repeated], -1))
        return places, self.keep(x)[:, None] + change


class Split(nn.Module):
    """A learned mask that says which Gaussians go on to the next layer."""

    def __init__(self, width: int):
        super().__init__()
        self.score = perceptron(width, width, 1)
        last = self.score[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(
        self, x: Float[Tensor, "N C"], lack: Float[Tensor, "N"], share: float
    ) -> tuple[Float[Tensor, "N C"], Bool[Tensor, "N"]]:
        """(the features with the mask's gradient, the ceil(share * N) Gaussians with the highest mask).

        `lack` is the squared residual each one covers: before anything is learned, the worst go on. The features'
        values stay (straight-through: sg(f - f m) + f m, the paper's equation 11).
        """
        known = torch.log(lack.detach() + 1e-6)
        known = (known - known.mean()) / (known.std(correction=0) + 1e-3)
        mask = torch.sigmoid(self.score(x)[:, 0] + 0.5 * known)
        count = min(len(x), math.ceil(share * len(x)))
        chosen = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        chosen[mask.argsort(descending=True, stable=True)[:count]] = True
        weighted = x * mask[:, None]
        return (x - weighted).detach() + weighted, chosen


class LayerHead(nn.Module):
    """What a child changes beside its place; free changes start at zero, the local residual's gate does not."""

    FREE, GATES = 10, 6

    def __init__(self, width: int):
        super().__init__()
        self.out = perceptron(width + LOCAL, width, self.FREE + self.GATES)
        last = self.out[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, x: Float[Tensor, "N C"], local: Float[Tensor, "N 7"]) -> Residuals:
        """`local`: how photos differ from the scene at the child's place, at two blurs, beyond its parent's share."""
        free, gate = self.out(torch.cat([x, squashed(10 * local)], -1)).split([self.FREE, self.GATES], -1)
        free = torch.tanh(free)[:, None]
        start = local.new_tensor([GATE_LOCAL] * 3 + [GATE_LOCAL / 4] * 3)
        proposal = (start * torch.exp(2.5 * torch.tanh(gate)) * local[:, :6]).view(-1, 1, 2, 3).sum(2)
        return Residuals(
            mean=torch.zeros_like(free[..., :3]),
            log_scale=BOUND_SCALE * free[..., :3],
            turn=BOUND_TURN * free[..., 3:6],
            logit=BOUND_LOGIT * free[..., 6],
            colour=BOUND_COLOUR * free[..., 7:10] + proposal,
        )


class Layer(nn.Module):
    """UP, a look at the photos from the children's places, SPLIT and HEAD."""

    def __init__(self, width_in: int, global_width: int, tokens: int, config: LayerConfig, last: bool):
        super().__init__()
        self.up = Up(width_in, global_width, config)
        self.attend = ProjectionAttention(config.width, tokens, config.heads, config.mlp_ratio)
        self.split = None if last else Split(config.width)
        self.head = LayerHead(config.width)


def octaves(places: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 36"]:
    """Sines and cosines of places in -1..1: the paper's positional encoding of the offset."""
    angles = places[..., None, :] * (math.pi / 2 * 2.0 ** torch.arange(FREQUENCIES, device=places.device))[:, None]
    return torch.cat([angles.sin(), angles.cos()], -1).flatten(-2)


def starting_places(factor: int) -> Float[Tensor, "R 3"]:
    """Where children stand before anything is learned: spread along the longest axes, alike about the middle."""
    if factor == 1:
        return torch.zeros(1, 3)
    if factor == 2:
        return torch.tensor([[-START, 0.0, 0.0], [START, 0.0, 0.0]])
    angle = (torch.arange(factor) + 0.5) / factor * 2 * math.pi
    return START * torch.stack([angle.cos(), angle.sin(), torch.zeros_like(angle)], -1)
