"""An edit of a scene: rows taken out and rows put in, with an exact inverse."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from gaussian_lens_app.scene.gaussians import Gaussians


@dataclass(frozen=True, eq=False)
class Patch:
    """Remove rows, then put `added` in; what is in neither stays bit-identical and in order."""

    removed: Int[Tensor, "R"]
    """Rows of the old scene, ascending, unique."""
    added: Gaussians
    parents: Int[Tensor, "A"]
    """Row of the old scene each added Gaussian came from, -1 for a new one; carries extra properties along."""
    positions: Int[Tensor, "A"] | None = None
    """Rows of the new scene that `added` takes, ascending; None: at the end."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Method, settings, photos used; whatever a report or an export should be able to say later. JSON values only.
    `kind` ("fitted", "learned", "invented", "derived" from what was there, or "inherited" by parts of what was there)
    says where the added Gaussians come from, unless `kinds` does."""
    kinds: UInt8[Tensor, "A"] | None = None
    """A `Kind` for each added Gaussian, where they differ."""

    def apply(self, scene: Gaussians) -> Gaussians:
        """The edited scene."""
        degree = max(scene.sh_degree, self.added.sh_degree)
        parts = scene, self.added.to(scene.device)
        scene, added = (part if part.sh_degree == degree else part.with_sh_degree(degree) for part in parts)
        if len(scene) == 0:
            return added
        # One copy of the scene: of three million Gaussians each takes a fifth of a second.
        sources = self.sources(len(scene)).to(scene.device)
        edited, new = scene.take(sources.clamp_min(0)), (sources < 0).nonzero()[:, 0]
        for (_, into), (_, values) in zip(edited.tensors(), added.tensors(), strict=True):
            into[new] = values
        return edited

    def sources(self, count: int) -> Int[Tensor, "M"]:
        """For each row of the edited scene its row in the old one; -1 for added rows."""
        merged = torch.cat([self.kept(count), torch.full((len(self.added),), -1)])
        return merged if self.positions is None else merged[self._order(count)]

    def inverse(self, scene: Gaussians) -> Patch:
        """The patch that turns `self.apply(scene)` back into `scene`, bit for bit and in order."""
        kept = len(scene) - len(self.removed)
        rows = torch.arange(kept, kept + len(self.added)) if self.positions is None else self.positions
        added = scene.take(self.removed)
        return dataclasses.replace(
            self, removed=rows, added=added, parents=torch.full((len(added),), -1), positions=self.removed, kinds=None
        )

    def kept(self, count: int) -> Int[Tensor, "S"]:
        """Rows of a scene of `count` Gaussians that survive."""
        keep = torch.ones(count, dtype=torch.bool)
        keep[self.removed] = False
        return keep.nonzero()[:, 0]

    def _order(self, count: int) -> Tensor:
        """Index into (kept rows, added rows) that puts each added row at its position."""
        assert self.positions is not None
        kept = count - len(self.removed)
        total = kept + len(self.added)
        order = torch.empty(total, dtype=torch.long)
        is_added = torch.zeros(total, dtype=torch.bool)
        is_added[self.positions] = True
        order[self.positions] = torch.arange(kept, total)
        order[~is_added] = torch.arange(kept)
        return order
