"""3D Gaussian Splatting as Markov Chain Monte Carlo (Kheradmand et al. 2024): relocate the dead, add, wander."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gaussian_lens_app.networks.relocation import together
from gaussian_lens_app.optimize.adam import Adam
from gaussian_lens_app.optimize.shape import limited
from gaussian_lens_app.scene import Camera, Gaussians
from gaussian_lens_app.scene.gaussians import rotations

MOST_COPIES = 50
"""Scales are divided for at most so many, opacities for all."""


@dataclass(frozen=True)
class McmcSettings:
    """How Gaussians move between places."""

    start: int = 300
    """First step at which Gaussians are relocated and added."""
    every: int = 100
    """Steps between two relocations."""
    until: float = 0.8
    """Part of the steps after which the number of Gaussians stays."""
    min_opacity: float = 0.005
    """Fainter ones are dead and go where the living are."""
    growth: float = 0.05
    """Part of the scene added each time until `max_gaussians`."""
    noise: float = 5e5
    """Strength of the random walk of faint Gaussians, times the centres' learning rate."""
    opacity_penalty: float = 0.01
    """Weight of the mean opacity in the loss."""
    scale_penalty: float = 0.01
    """Weight of the mean standard deviation in the loss."""
    max_size: float = 0.1
    """Longest standard deviation allowed, as a part of the scene's extent."""
    max_ratio: float = 8.0
    """Longest axis over the middle one at most."""
    max_gaussians: int = 70_000
    """The scene grows up to this."""


class Mcmc:
    """Keeps the picture while it moves Gaussians: a Gaussian shared by n has its opacity and scale divided for n."""

    wants_probe = False

    def __init__(self, settings: McmcSettings, extent: float, generator: torch.Generator):
        self.settings, self.extent, self.generator = settings, extent, generator

    def observe(self, probe: Float[Tensor, "N 4"], camera: Camera) -> None:
        pass

    def penalty(self, scene: Gaussians) -> Tensor:
        opacity, scale = scene.logit_opacities.sigmoid().mean(), scene.log_scales.exp().mean()
        return self.settings.opacity_penalty * opacity + self.settings.scale_penalty * scale

    @torch.no_grad()
    def update(self, step: int, steps: int, adam: Adam, rates: dict[str, float]) -> None:
        s = self.settings
        if step % s.every == 0:
            if s.start <= step < s.until * steps:
                self._relocate(adam)
                self._add(adam)
            adam.scene.log_scales.data = limited(adam.scene, s.max_size * self.extent, s.max_ratio).log_scales.detach()
        self._wander(adam.scene, rates["means"] * s.noise)

    def _relocate(self, adam: Adam) -> None:
        scene = adam.scene.detach()
        dead = (scene.opacities <= self.settings.min_opacity).nonzero()[:, 0]
        living = (scene.opacities > self.settings.min_opacity).nonzero()[:, 0]
        if len(dead) == 0 or len(living) == 0:
            return
        hosts = self._sample(scene, living, len(dead))
        sources = torch.arange(len(scene), device=scene.device)
        sources[dead] = -1
        sources[hosts] = -1
        rows = torch.arange(len(scene), device=scene.device)
        rows[dead] = hosts
        adam.replace(shared(scene, hosts).take(rows), sources, rows)

    def _add(self, adam: Adam) -> None:
        scene = adam.scene.detach()
        count = min(self.settings.max_gaussians, int(len(scene) * (1 + self.settings.growth))) - len(scene)
        if count <= 0:
            return
        hosts = self._sample(scene, torch.arange(len(scene), device=scene.device), count)
        sources = torch.arange(len(scene), device=scene.device)
        sources[hosts] = -1
        divided = shared(scene, hosts)
        grown = Gaussians.concat([divided, divided.take(hosts)])
        parents = torch.cat([torch.arange(len(scene), device=scene.device), hosts])
        adam.replace(grown, torch.cat([sources, hosts.new_full((count,), -1)]), parents)

    def _sample(self, scene: Gaussians, rows: Int[Tensor, "L"], count: int) -> Int[Tensor, "count"]:
        """Rows drawn with replacement in proportion to opacity."""
        chances = scene.opacities[rows].cpu()
        return rows[torch.multinomial(chances, count, replacement=True, generator=self.generator).to(rows.device)]

    def _wander(self, scene: Gaussians, strength: float) -> None:
        """The random walk: noise shaped like the Gaussian's covariance that fades for opacities over .005."""
        faint = torch.sigmoid(-100 * (scene.logit_opacities.sigmoid() - 0.005))
        normal = torch.randn(scene.means.shape, generator=self.generator).to(scene.device)
        noise = normal * (faint * strength)[:, None]
        axes, variances = rotations(scene.quats), (2 * scene.log_scales).exp()
        scene.means.data += (axes @ (variances * (axes.mT @ noise[..., None])[..., 0])[..., None])[..., 0]


def shared(scene: Gaussians, hosts: Int[Tensor, "M"]) -> Gaussians:
    """Each host's opacity and scale divided so that it and its copies look as it did alone (equation 9)."""
    copies = torch.bincount(hosts, minlength=len(scene)) + 1
    opacities = scene.opacities.double().clamp(max=1 - 1e-6)
    divided = 1 - (1 - opacities) ** (1 / copies)
    factor = torch.ones_like(opacities)
    for count in copies[copies > 1].clamp_max(MOST_COPIES).unique().tolist():
        rows = copies.clamp_max(MOST_COPIES) == count
        factor[rows] = opacities[rows] / together(divided[rows], count)
    logit = torch.where(copies > 1, divided.clamp_min(0.005).logit().float(), scene.logit_opacities)
    log_scales = scene.log_scales + factor.log().float()[:, None]
    return dataclasses.replace(scene, logit_opacities=logit, log_scales=log_scales)
