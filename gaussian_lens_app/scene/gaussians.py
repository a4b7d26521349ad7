"""The scene: a frozen table of 3D Gaussians."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

SH_C0 = 0.28209479177387814
"""Value of the constant spherical harmonic; colour = 0.5 + SH_C0 * sh0 at degree 0."""


@dataclass(frozen=True, eq=False)
class Gaussians:
    """N Gaussians in their stored form; the prefix (`log_`, `logit_`) names the domain.

    Frozen, so a reader on another thread needs no lock and a swap is one assignment.
    """

    means: Float[Tensor, "N 3"]
    """Centres in world units."""
    quats: Float[Tensor, "N 4"]
    """Rotations of the principal axes, wxyz, not necessarily normalised."""
    log_scales: Float[Tensor, "N 3"]
    """Natural log of the standard deviations along the principal axes, world units."""
    logit_opacities: Float[Tensor, "N"]
    sh0: Float[Tensor, "N 1 3"]
    shN: Float[Tensor, "N K 3"]
    """Higher spherical harmonic bands, K = (degree + 1)^2 - 1."""

    @property
    def scales(self) -> Tensor:
        return self.log_scales.exp()

    @property
    def opacities(self) -> Tensor:
        return self.logit_opacities.sigmoid()

    @property
    def sh_degree(self) -> int:
        return round((self.shN.shape[1] + 1) ** 0.5) - 1

    @property
    def device(self) -> torch.device:
        return self.means.device

    def __len__(self) -> int:
        return self.means.shape[0]

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """(field name, tensor) pairs in declaration order."""
        for field in dataclasses.fields(self):
            yield field.name, getattr(self, field.name)

    def map(self, function) -> Gaussians:
        """The same fields with `function` applied to each tensor."""
        return Gaussians(**{name: function(tensor) for name, tensor in self.tensors()})

    def take(self, index: Tensor) -> Gaussians:
        """Rows chosen by an index or boolean mask (any device)."""
        index = index.to(self.device)
        return self.map(lambda tensor: tensor[index])

    def to(self, device: torch.device | str) -> Gaussians:
        return self.map(lambda tensor: tensor.to(device))

    def detach(self) -> Gaussians:
        return self.map(lambda tensor: tensor.detach())

    def with_sh_degree(self, degree: int) -> Gaussians:
        """Higher bands cut off or filled with zeros."""
        bands = (degree + 1) ** 2 - 1
        shN = self.shN.new_zeros(len(self), bands, 3)
        kept = min(bands, self.shN.shape[1])
        shN[:, :kept] = self.shN[:, :kept]
        return dataclasses.replace(self, shN=shN)

    @staticmethod
    def concat(parts: Sequence[Gaussians]) -> Gaussians:
        """All rows of `parts` in order; lower SH degrees are filled with zeros up to the highest."""
        degree = max(part.sh_degree for part in parts)
        parts = [part if part.sh_degree == degree else part.with_sh_degree(degree) for part in parts]
        fields = [field.name for field in dataclasses.fields(Gaussians)]
        return Gaussians(**{name: torch.cat([getattr(part, name) for part in parts]) for name in fields})

    @staticmethod
    def empty(sh_degree: int = 0, device: torch.device | str = "cpu") -> Gaussians:
        bands = (sh_degree + 1) ** 2 - 1
        shapes = [(0, 3), (0, 4), (0, 3), (0,), (0, 1, 3), (0, bands, 3)]
        return Gaussians(*(torch.zeros(shape, device=device) for shape in shapes))


def rotations(quats: Float[Tensor, "N 4"]) -> Float[Tensor, "N 3 3"]:
    """Rotation matrices of quaternions (wxyz, any length but zero); their columns are the principal axes."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
    ]
    return torch.stack(rows, -2)
