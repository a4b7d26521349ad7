"""What a 2D super-resolution prior offers: a chain of latents from noise to a sharp picture, or one upscaling."""

from __future__ import annotations

from typing import Any, Protocol, TypeGuard

import torch
from jaxtyping import Float
from torch import Tensor

Picture = Float[Tensor, "H W 3"]
"""0..1."""
Latent = Any
"""A tensor, or nested lists of tensors; only the prior that made it looks inside."""


class Upscaler(Protocol):
    """A prior without a chain, of which only the enlarged picture is known."""

    @property
    def name(self) -> str:
        """What reports and patches call it."""
        ...

    @property
    def scale(self) -> int: ...

    @property
    def licence(self) -> str:
        """Of the weights, as far as known."""
        ...

    def upscale(self, small: Picture) -> Picture:
        """The picture with sides `scale` times longer."""
        ...


class Prior(Protocol):
    """A diffusion prior, taken apart so that the scene can step in between two steps.

    >>> x = prior.init_latent(small, generator)
    >>> for t in prior.timesteps:
    ...     x0 = prior.predict_x0(x, t, small)
    ...     x = prior.step(x, x0, t, generator)
    >>> picture = prior.decode(x0, small)
    """

    @property
    def name(self) -> str: ...

    @property
    def scale(self) -> int: ...

    @property
    def licence(self) -> str: ...

    @property
    def timesteps(self) -> tuple[int, ...]:
        """In the order of the chain: noisiest first."""
        ...

    def encode(self, picture: Picture) -> Latent:
        """The latent of a sharp picture."""
        ...

    def decode(self, latent: Latent, small: Picture) -> Picture:
        """The picture of an x0; `small` is what it must agree with."""
        ...

    def init_latent(self, small: Picture, generator: torch.Generator) -> Latent:
        """x_T: noise around the enlarged small picture."""
        ...

    def predict_x0(self, x_t: Latent, t: int, small: Picture) -> Latent:
        """The end of the chain as it looks from step `t`."""
        ...

    def step(self, x_t: Latent, x0: Latent, t: int, generator: torch.Generator) -> Latent:
        """A sample of the next x_t, given this one and an x0; x0 itself after the last step."""
        ...


AnyPrior = Prior | Upscaler


def is_diffusion(prior: AnyPrior) -> TypeGuard[Prior]:
    """Whether the prior has a chain to step into."""
    return hasattr(prior, "predict_x0")


def sampled(prior: Prior, small: Picture, generator: torch.Generator) -> Picture:
    """A picture from the whole chain, nothing stepping in."""
    x_t = prior.init_latent(small, generator)
    x0 = x_t
    for t in prior.timesteps:
        x0 = prior.predict_x0(x_t, t, small)
        x_t = prior.step(x_t, x0, t, generator)
    return prior.decode(x0, small)


def first_guess(prior: Prior, small: Picture, generator: torch.Generator) -> Picture:
    """The x0 of the first step alone: what all pictures that would fit have in common."""
    first = prior.timesteps[0]
    return prior.decode(prior.predict_x0(prior.init_latent(small, generator), first, small), small)
