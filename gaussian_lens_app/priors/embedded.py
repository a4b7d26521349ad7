"""The prior that ships with the program: networks/sr_prior.py with its chain in pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from gaussian_lens_app.networks.sr_prior import SRPrior, enlarge
from gaussian_lens_app.priors.base import Picture
from gaussian_lens_app.priors.chain import normal_like
from gaussian_lens_app.priors.resizing import Filter, agreeing, picture_of, planes


class EmbeddedPrior:
    """A residual-shifting chain of four steps, x4; latents are pictures in -1..1.

    With `how`, what it decodes agrees with the small picture as made small by that filter; None: as the network says.
    """

    licence = "MIT"

    def __init__(self, network: SRPrior, name: str = "embedded", how: Filter | None = "area"):
        self.network, self.name = network, name
        self.how: Filter | None = how
        self.scale = network.config.scale
        self.timesteps = tuple(reversed(range(network.config.steps)))

    def encode(self, picture: Picture) -> Tensor:
        return planes(picture).to(self._device) * 2 - 1

    def decode(self, latent: Tensor, small: Picture) -> Picture:
        picture = picture_of((latent.clamp(-1, 1) + 1) / 2).to(small.device)
        return picture if self.how is None else agreeing(picture, small, self.how)

    def init_latent(self, small: Picture, generator: torch.Generator) -> Tensor:
        start = enlarge(self.encode(small), self.scale)
        return start + self.network.schedule.noise(self.timesteps[0]) * normal_like(start, generator)

    @torch.no_grad()
    def predict_x0(self, x_t: Tensor, t: int, small: Picture) -> Tensor:
        return self.network(x_t, self.encode(small), torch.tensor([t], device=self._device))

    def step(self, x_t: Tensor, x0: Tensor, t: int, generator: torch.Generator) -> Tensor:
        return self.network.schedule.previous(x_t, x0, normal_like(x0, generator), t)

    @property
    def _device(self) -> torch.device:
        return next(self.network.parameters()).device
