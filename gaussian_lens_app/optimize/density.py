"""Adaptive density control of 3DGS (Kerbl et al. 2023, section 5.2) on AbsGS gradients (Ye et al. 2024)."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.optimize.adam import Adam
from gaussian_lens_app.optimize.shape import limited, offsets
from gaussian_lens_app.scene import Camera, Gaussians


class Strategy(Protocol):
    """What changes the number of Gaussians while they are optimised."""

    wants_probe: bool
    """Whether `observe` needs the gradients to the 2D means."""

    def observe(self, probe: Float[Tensor, "N 4"], camera: Camera) -> None:
        """Takes note of one image's gradient to the 2D means (`Rasterizer.render`'s probe)."""
        ...

    def penalty(self, scene: Gaussians) -> Tensor | None:
        """What the strategy adds to the loss."""
        ...

    def update(self, step: int, steps: int, adam: Adam, rates: dict[str, float]) -> None:
        """Called after every optimiser step, counted from 1."""
        ...


@dataclass(frozen=True)
class AdaptiveSettings:
    """When Gaussians are cloned, split and pruned."""

    start: int = 300
    """First step at which the scene may grow."""
    every: int = 100
    """Steps between two changes."""
    until: float = 0.6
    """Part of the steps after which the number of Gaussians stays."""
    gradient: float = 0.0008
    """Grow where the absolute gradient to the 2D mean, in half-images, is above this on average."""
    split_size: float = 0.01
    """Larger than this part of the scene's extent: split in two; smaller: clone."""
    min_opacity: float = 0.005
    """Fainter ones are pruned."""
    reset_every: int = 3000
    """Steps between two resets of all opacities to at most twice `min_opacity`."""
    max_size: float = 0.1
    """Longest standard deviation allowed, as a part of the scene's extent."""
    max_ratio: float = 8.0
    """Longest axis over the middle one at most; needles stand out at the borders of what the photos saw."""
    max_gaussians: int = 75_000
    """The scene stops growing here; the largest gradients go first."""


class AdaptiveDensity:
    """Clones small and splits large Gaussians where the image still pulls at them; prunes faint ones."""

    wants_probe = True

    def __init__(self, settings: AdaptiveSettings, extent: float, generator: torch.Generator):
        self.settings, self.extent, self.generator = settings, extent, generator
        self._pull: Tensor | None = None
        self._seen: Tensor | None = None

    def observe(self, probe: Float[Tensor, "N 4"], camera: Camera) -> None:
        if self._pull is None or self._seen is None:
            self._pull, self._seen = probe.new_zeros(len(probe)), probe.new_zeros(len(probe))
        half_image = probe.new_tensor([camera.width / 2, camera.height / 2])
        pull = (probe[:, 2:] * half_image).norm(dim=-1)
        self._pull += pull
        self._seen += pull > 0

    def penalty(self, scene: Gaussians) -> None:
        return None

    @torch.no_grad()
    def update(self, step: int, steps: int, adam: Adam, rates: dict[str, float]) -> None:
        s = self.settings
        if step % s.every:
            return
        if s.start <= step < s.until * steps and self._pull is not None:
            self._grow(adam)
            if step % s.reset_every == 0:
                self._reset(adam)
        size = s.max_size * self.extent
        adam.scene.log_scales.data = limited(adam.scene, size, s.max_ratio).log_scales.detach()

    def _grow(self, adam: Adam) -> None:
        scene = adam.scene.detach()
        grow = self._wanted()
        large = scene.log_scales.amax(-1) > math.log(self.settings.split_size * self.extent)
        cloned, parted = (grow & ~large).nonzero()[:, 0], (grow & large).nonzero()[:, 0]
        kept = (~(grow & large)).nonzero()[:, 0]
        parts = [scene.take(kept), scene.take(cloned), self._split(scene.take(parted.repeat(2)))]
        sources = torch.cat([kept, cloned.new_full((len(cloned) + 2 * len(parted),), -1)])
        parents = torch.cat([kept, cloned, parted.repeat(2)])
        grown = Gaussians.concat(parts)
        alive = (grown.opacities >= self.settings.min_opacity).nonzero()[:, 0]
        adam.replace(grown.take(alive), sources[alive], parents[alive])
        self._pull = self._seen = None

    def _wanted(self) -> Tensor:
        """Which Gaussians grow: over the threshold, and no more than there is room for."""
        assert self._pull is not None
        assert self._seen is not None
        pull = self._pull / self._seen.clamp_min(1)
        grow = pull > self.settings.gradient
        room = max(0, self.settings.max_gaussians - len(pull))
        if int(grow.sum()) > room:
            grow = torch.zeros_like(grow)
            grow[pull.topk(room).indices] = True
        return grow

    def _split(self, halves: Gaussians) -> Gaussians:
        """Children drawn from their parents, each 1.6 times smaller."""
        normal = torch.randn(halves.means.shape, generator=self.generator).to(halves.device)
        means = halves.means + offsets(halves, normal)
        return dataclasses.replace(halves, means=means, log_scales=halves.log_scales - math.log(1.6))

    def _reset(self, adam: Adam) -> None:
        most = 2 * self.settings.min_opacity
        adam.scene.logit_opacities.data.clamp_max_(math.log(most / (1 - most)))
        adam.forget("logit_opacities")
