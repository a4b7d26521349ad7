"""A small residual-shifting diffusion network for x4 super-resolution: noisy picture, small picture, step in; x0 out.

The chain is ResShift's (Yue et al. 2023): from the enlarged small picture plus noise to the sharp picture in four
steps. Everything is computed at the small picture's size and half of it, the large picture's pixels lying in channels,
and the network only adds to the bicubic enlargement; the first step alone is a good regression.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

Pictures = Float[Tensor, "B 3 H W"]


@dataclass(frozen=True)
class PriorConfig:
    """Sizes of the network and constants of the chain."""

    width: int = 64
    """Channels at the small picture's size."""
    blocks: int = 8
    """Residual blocks there, half of them before the coarse level."""
    coarse_width: int = 128
    """Channels at half that size."""
    coarse_blocks: int = 3
    scale: int = 4
    steps: int = 4
    kappa: float = 0.4
    """Noise at the chain's start, as a standard deviation of pictures in -1..1. ResShift's 2.0 is for latents."""
    eta_first: float = 0.01
    """Part of the residual that is shifted at the last step of the chain."""
    eta_last: float = 0.98
    """The same at its start."""
    power: float = 1.0
    """Spacing of the steps: 1 is even in the logarithm of the noise, ResShift's 0.3 crowds the noisy end."""
    residual: float = 0.1
    """Typical difference between the sharp and the enlarged picture, which the inputs and outputs are scaled by."""


CPU = PriorConfig()
GPU = PriorConfig(width=96, blocks=16, coarse_width=192, coarse_blocks=5)
PRESETS = {"cpu": CPU, "gpu": GPU}


class Schedule:
    """eta and its steps: q(x_t | x0, y) = N(x0 + eta_t (y - x0), kappa^2 eta_t) (ResShift, equation 2)."""

    def __init__(self, config: PriorConfig):
        steps = config.steps
        growth = math.log(config.eta_last / config.eta_first) / 2
        places = [(t / max(1, steps - 1)) ** config.power for t in range(steps)]
        self.etas = [config.eta_first * math.exp(2 * growth * place) for place in places]
        """By step, 0 the last of the chain."""
        self.kappa = config.kappa

    def noise(self, t: int) -> float:
        """Standard deviation of x_t around its mean."""
        return self.kappa * math.sqrt(self.etas[t])

    def shifted(self, x0: Pictures, enlarged: Pictures, normal: Pictures, t: int) -> Pictures:
        """A sample of x_t given x0."""
        return x0 + self.etas[t] * (enlarged - x0) + self.noise(t) * normal

    def previous(self, x_t: Pictures, x0: Pictures, normal: Pictures, t: int) -> Pictures:
        """A sample of x_{t-1} given x_t and x0; x0 itself after the last step (equation 7)."""
        if t == 0:
            return x0
        now, before = self.etas[t], self.etas[t - 1]
        change = now - before
        spread = self.kappa * math.sqrt(before * change / now)
        return before / now * x_t + change / now * x0 + spread * normal


class SRPrior(nn.Module):
    """Predicts x0 of pictures in -1..1."""

    scalings: Float[Tensor, "steps 3"]

    def __init__(self, config: PriorConfig = CPU):
        super().__init__()
        self.config, self.schedule = config, Schedule(config)
        width, area = config.width, config.scale**2
        self.register_buffer("scalings", _scalings(config, self.schedule), persistent=False)
        self.step_code = nn.Embedding(config.steps, width)
        self.stem = _conv(3 + 3 * area, width)
        before = config.blocks // 2
        self.before = nn.ModuleList(Block(width, width) for _ in range(before))
        self.down = nn.Conv2d(width, config.coarse_width, 2, 2)
        self.coarse = nn.ModuleList(Block(config.coarse_width, width) for _ in range(config.coarse_blocks))
        self.up = nn.Linear(config.coarse_width, 4 * width)
        self.after = nn.ModuleList(Block(width, width) for _ in range(config.blocks - before))
        self.merge, self.spread = _conv(width, 2 * width), _conv(2 * width, 3 * area)

    def forward(self, x_t: Pictures, small: Float[Tensor, "B 3 h w"], t: Int[Tensor, "B"]) -> Pictures:
        """x0 from x_t and the small picture, whose sides are `scale` times shorter."""
        enlarged = enlarge(small, self.config.scale)
        keep, show, add = (value.view(-1, 1, 1, 1) for value in self.scalings[t].unbind(-1))
        known = keep * (x_t - enlarged)
        code = self.step_code(t)
        odd = (small.shape[-1] % 2, small.shape[-2] % 2)
        inputs = torch.cat([small, folded(show * known, self.config.scale)], 1)
        features = self.features(F.pad(inputs, (0, odd[0], 0, odd[1]), mode="replicate"), code)
        features = features[..., : small.shape[-2], : small.shape[-1]]
        return enlarged + known + add * unfolded(features.float(), self.config.scale)

    def features(self, inputs: Tensor, code: Tensor) -> Tensor:
        """The trunk, at the small picture's size (even sides)."""
        x = stem = self.stem(inputs)
        for block in self.before:
            x = block(x, code)
        coarse = self.down(x)
        for block in self.coarse:
            coarse = block(coarse, code)
        x = x + unfolded(self.up(coarse.movedim(1, -1)).movedim(-1, 1), 2)
        for block in self.after:
            x = block(x, code)
        return self.spread(F.relu(self.merge(x + stem)))


class Block(nn.Module):
    """Two convolutions without normalisation (EDSR, Lim et al. 2017), the inner features shifted by the step."""

    def __init__(self, width: int, code: int):
        super().__init__()
        self.first, self.second = _conv(width, width), _conv(width, width)
        self.modulation = nn.Linear(code, 2 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        with torch.no_grad():
            self.second.weight.mul_(0.1)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        scale, shift = (value[..., None, None] for value in self.modulation(code).chunk(2, -1))
        return x + self.second(F.relu(self.first(x) * (1 + scale) + shift))


def enlarge(small: Float[Tensor, "B 3 h w"], scale: int) -> Pictures:
    """Bicubic enlargement."""
    return F.interpolate(small, scale_factor=scale, mode="bicubic", align_corners=False)


def folded(pictures: Float[Tensor, "B C H W"], block: int) -> Float[Tensor, "B C*b*b h w"]:
    """Blocks of pixels as channels."""
    count, channels, height, width = pictures.shape
    blocks = pictures.view(count, channels, height // block, block, width // block, block)
    return blocks.permute(0, 1, 3, 5, 2, 4).reshape(count, -1, height // block, width // block)


def unfolded(features: Float[Tensor, "B C*b*b h w"], block: int) -> Float[Tensor, "B C H W"]:
    """The inverse of `folded`."""
    count, _, height, width = features.shape
    blocks = features.view(count, -1, block, block, height, width)
    return blocks.permute(0, 1, 4, 2, 5, 3).reshape(count, -1, height * block, width * block)


def _conv(channels: int, out: int) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 3, 1, 1)


def _scalings(config: PriorConfig, schedule: Schedule) -> Float[Tensor, "steps 3"]:
    """By step: the best linear estimate's share of x_t - y, the factor that shows it to the network, and the error it
    leaves, which the network's output is scaled by (Karras et al. 2022, for a shifted mean)."""
    rows = []
    for t, eta in enumerate(schedule.etas):
        signal, noise = (1 - eta) * config.residual, schedule.noise(t)
        total = signal**2 + noise**2
        rows.append([signal * config.residual / total, 1 / config.residual, config.residual * noise / math.sqrt(total)])
    return torch.tensor(rows)
