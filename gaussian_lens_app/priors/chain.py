"""The posterior of a Gaussian diffusion chain, for priors whose pipelines keep it to themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Chain:
    """q(x_t | x0) = N(signal x0, noise^2) at a few steps, noisiest first. Variance preserving or exploding."""

    timesteps: tuple[int, ...]
    signals: tuple[float, ...]
    noises: tuple[float, ...]

    @staticmethod
    def preserving(alphas_cumprod: Sequence[float], steps: int) -> Chain:
        """`steps` evenly spaced ones of a chain whose signal and noise power add up to 1: 999, 666, 333, 0 of 1000."""
        last = len(alphas_cumprod) - 1
        chosen = tuple(round(last * (steps - 1 - i) / max(1, steps - 1)) for i in range(steps))
        powers = [float(alphas_cumprod[t]) for t in chosen]
        return Chain(chosen, tuple(math.sqrt(p) for p in powers), tuple(math.sqrt(1 - p) for p in powers))

    @staticmethod
    def exploding(sigmas: Sequence[float]) -> Chain:
        """Of noise levels added to an unscaled signal (Karras et al. 2022)."""
        return Chain(tuple(range(len(sigmas))), (1.0,) * len(sigmas), tuple(float(s) for s in sigmas))

    def noisy(self, x0: Tensor, t: int, generator: torch.Generator) -> Tensor:
        """A sample of x_t."""
        i = self.timesteps.index(t)
        return self.signals[i] * x0 + self.noises[i] * normal_like(x0, generator)

    def previous(self, x_t: Tensor, x0: Tensor, t: int, generator: torch.Generator) -> Tensor:
        """A sample of the next x given x_t and x0 (Ho et al. 2020, equation 7); x0 itself after the last step."""
        i = self.timesteps.index(t)
        if i + 1 == len(self.timesteps):
            return x0
        signal, noise = self.signals[i], self.noises[i]
        next_signal, next_noise = self.signals[i + 1], self.noises[i + 1]
        kept = signal / next_signal
        added = noise**2 - kept**2 * next_noise**2
        mean = kept * next_noise**2 / noise**2 * x_t + next_signal * added / noise**2 * x0
        return mean + next_noise * math.sqrt(max(0.0, added)) / noise * normal_like(x0, generator)


def normal_like(values: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal numbers, drawn on the generator's device so that a seed means the same everywhere."""
    return torch.randn(values.shape, generator=generator, device=generator.device).to(values)
