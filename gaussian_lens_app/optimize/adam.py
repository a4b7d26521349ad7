"""Adam (Kingma & Ba 2015) over the fields of a scene; its state follows when Gaussians are cloned, split or pruned."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from gaussian_lens_app.raster.numba_kernels.jit import kernel
from gaussian_lens_app.scene import Gaussians


@dataclass(frozen=True)
class LearningRates:
    """Step sizes of 3DGS (Kerbl et al. 2023)."""

    means: float = 1.6e-4
    """Of the centres at the first step, times the scene's extent."""
    means_final: float = 1.6e-6
    """Of the centres at the last step, times the scene's extent; exponential in between."""
    quats: float = 0.001
    log_scales: float = 0.005
    logit_opacities: float = 0.05
    sh0: float = 0.0025
    shN: float = 0.0025 / 20
    settle_from: float = 0.6
    """Part of the steps after which all rates but the centres' sink too, so that the last photos leave no trace."""
    settled: float = 0.1
    """What they sink to, exponentially, as a part of themselves."""

    def times(self, factor: float) -> LearningRates:
        """All step sizes larger or smaller."""
        names = ("means", "means_final", "quats", "log_scales", "logit_opacities", "sh0", "shN")
        return dataclasses.replace(self, **{name: factor * getattr(self, name) for name in names})

    def at(self, progress: float, extent: float) -> dict[str, float]:
        """Field name -> rate when `progress` in 0..1 of the steps are done."""
        means = self.means ** (1 - progress) * self.means_final**progress
        late = max(0.0, (progress - self.settle_from) / (1 - self.settle_from))
        calm = self.settled**late
        return {
            "means": means * extent,
            "quats": self.quats * calm,
            "log_scales": self.log_scales * calm,
            "logit_opacities": self.logit_opacities * calm,
            "sh0": self.sh0 * calm,
            "shN": self.shN * calm,
        }


class Adam:
    """Holds the scene being optimised: `scene` has leaf tensors; after `backward()` call `step(rates)`.

    >>> adam = Adam(scene)
    >>> loss(render(adam.scene)).backward()
    >>> adam.step(LearningRates().at(progress=0.0, extent=1.0))
    """

    def __init__(self, scene: Gaussians, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-15):
        self.betas, self.eps = betas, eps
        self.steps = 0
        self.scene = _leaves(scene)
        self.origins = torch.arange(len(scene), device=scene.device)
        """For each row of `scene` the row it descends from in the scene this began with."""
        self._first = scene.map(_zeros)
        self._second = scene.map(_zeros)

    @torch.no_grad()
    def step(self, rates: Mapping[str, float]) -> None:
        """Moves each field with a gradient by its rate (absent or 0: stays) and clears the gradients."""
        self.steps += 1
        beta1, beta2 = self.betas
        correction1, correction2 = 1 - beta1**self.steps, 1 - beta2**self.steps
        for name, value in self.scene.tensors():
            gradient, rate = value.grad, rates.get(name, 0.0)
            value.grad = None
            if gradient is None or rate == 0 or value.numel() == 0:
                continue
            first, second = getattr(self._first, name), getattr(self._second, name)
            if value.device.type == "cpu":
                factors = np.array([beta1, beta2, rate / correction1, 1 / correction2, self.eps], np.float32)
                _move(*(tensor.contiguous().view(-1).numpy() for tensor in (value, gradient, first, second)), factors)
                continue
            first.lerp_(gradient, 1 - beta1)
            second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
            value.addcdiv_(first, (second / correction2).sqrt_().add_(self.eps), value=-rate / correction1)

    def replace(self, scene: Gaussians, sources: Int[Tensor, "M"], parents: Int[Tensor, "M"] | None = None) -> None:
        """Goes on with another scene; row i inherits the state of old row sources[i], or starts fresh at -1.

        `parents` are the old rows that the new ones descend from, where that is not the same.
        """
        fresh = sources < 0
        parents = sources if parents is None else parents
        self.origins = torch.where(parents < 0, -1, self.origins[parents.clamp_min(0)])
        rows = sources.clamp_min(0)

        def inherited(old: Tensor) -> Tensor:
            new = old[rows]
            new[fresh] = 0
            return new

        self._first, self._second = self._first.map(inherited), self._second.map(inherited)
        self.scene = _leaves(scene)

    def forget(self, field: str) -> None:
        """Clears the state of one field, after its values were set by hand."""
        getattr(self._first, field).zero_()
        getattr(self._second, field).zero_()


def _leaves(scene: Gaussians) -> Gaussians:
    return scene.map(lambda tensor: tensor.detach().clone(memory_format=torch.contiguous_format).requires_grad_())


def _zeros(tensor: Tensor) -> Tensor:
    return torch.zeros(tensor.shape, dtype=tensor.dtype, device=tensor.device)


@kernel
def _move(value, gradient, first, second, factors):
    """One pass over memory where torch takes five, each with a barrier that waits for every core."""
    beta1, beta2, rate, correction, eps = factors
    one = np.float32(1)
    for i in range(value.shape[0]):
        g = gradient[i]
        first[i] = beta1 * first[i] + (one - beta1) * g
        second[i] = beta2 * second[i] + (one - beta2) * g * g
        value[i] -= rate * first[i] / (np.sqrt(second[i] * correction) + eps)
