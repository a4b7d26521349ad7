"""Points in the order of a space-filling curve, so that attention over runs of it is attention over neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gaussian_lens_app.scene.morton import morton_codes


def curve_orders(positions: Float[Tensor, "N 3"], cell: float | Tensor) -> tuple[Int[Tensor, "N"], Int[Tensor, "N"]]:
    """Two orders along Morton curves of cells of that size: the plain one, and one with x and y exchanged."""
    cells = ((positions - positions.amin(0)) / cell).floor().long()
    return morton_codes(cells).argsort(stable=True), morton_codes(cells[:, [1, 0, 2]]).argsort(stable=True)


@dataclass(frozen=True, eq=False)
class Patches:
    """An order cut into runs of equal length; the last run borrows from the one before, so none needs a mask."""

    gather: Int[Tensor, "B*S"]
    """Points of all runs."""
    scatter: Int[Tensor, "N"]
    """Where each point's result stands in the runs."""
    size: int

    @staticmethod
    def of(order: Int[Tensor, "N"], size: int) -> Patches:
        count = len(order)
        size = max(1, min(size, count))
        runs = -(-count // size)
        slots = torch.arange(runs * size, device=order.device)
        last = (runs - 1) * size
        source = torch.where(slots < last, slots, slots - runs * size + count)
        ranks = torch.empty_like(order)
        ranks[order] = torch.arange(count, device=order.device)
        return Patches(order[source], torch.where(ranks < last, ranks, ranks - count + runs * size), size)


@dataclass(frozen=True, eq=False)
class Pooling:
    """Points merged by grid cell."""

    cluster: Int[Tensor, "N"]
    """Cell of each point."""
    positions: Float[Tensor, "M 3"]
    """Mean of the points in each cell."""

    @staticmethod
    def of(positions: Float[Tensor, "N 3"], cell: float | Tensor) -> Pooling:
        codes = morton_codes(((positions - positions.amin(0)) / cell).floor().long())
        _, cluster = torch.unique(codes, return_inverse=True)
        count = int(cluster.max()) + 1
        sums = positions.new_zeros(count, 3).index_add(0, cluster, positions)
        sizes = positions.new_zeros(count).index_add(0, cluster, torch.ones_like(positions[:, 0]))
        return Pooling(cluster, sums / sizes[:, None])

    def pool(self, features: Float[Tensor, "N C"]) -> Float[Tensor, "M C"]:
        """Largest value of each channel in each cell."""
        index = self.cluster[:, None].expand_as(features)
        empty = features.new_zeros(len(self.positions), features.shape[1])
        return empty.scatter_reduce(0, index, features, "amax", include_self=False)

    def unpool(self, features: Float[Tensor, "M C"]) -> Float[Tensor, "N C"]:
        """Each point gets its cell's features."""
        return features[self.cluster]
