"""One densification: the worst Gaussians apart, the network tile by tile, their children looked at again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from gaussian_lens_app.jobs.report import Report
from gaussian_lens_app.methods.gaussian_lens_features import Look, look
from gaussian_lens_app.methods.gaussian_lens_inputs import LensInputs, footprints
from gaussian_lens_app.methods.gaussian_lens_pass import Prepared, as_points, network_views
from gaussian_lens_app.methods.gaussian_lens_tiles import tiles
from gaussian_lens_app.networks.gaussian_lens import Points
from gaussian_lens_app.networks.generative_densification import GenerativeDensification, Maps
from gaussian_lens_app.raster import Rasterizer
from gaussian_lens_app.scene import Gaussians

STRIDE = 3
"""Grid cells of the trunk are so many photo pixels, as in GaussianLens."""


@dataclass(frozen=True, eq=False)
class Fine:
    """What coarse Gaussians became."""

    gaussians: Gaussians
    ancestors: Int[Tensor, "M"]
    """Row of the coarse Gaussian that each comes from."""


def split_off(
    inputs: LensInputs, looks: Sequence[Look], rows: Bool[Tensor, "P"]
) -> tuple[LensInputs, tuple[Look, ...]]:
    """The inputs with all but `rows` of their old Gaussians among the surroundings, and the looks of those rows."""
    chosen = dataclasses.replace(
        inputs, frozen=Gaussians.concat([inputs.frozen, inputs.old.take(~rows)]), old=inputs.old.take(rows)
    )
    return chosen, tuple(look_of(one, rows) for one in looks)


def look_of(one: Look, rows: Tensor) -> Look:
    """A look with the gradients of some of its Gaussians."""
    screen = None if one.screen is None else one.screen[rows]
    return Look(one.render, one.gradients[rows], one.weights[rows], screen)


def regrown(
    prepared: Prepared, fine: Gaussians, ancestors: Int[Tensor, "M"], rasterizer: Rasterizer
) -> tuple[Prepared, tuple[Look, ...]]:
    """The fine Gaussians in the place of their ancestors, whose first gradients they keep, and a fresh look at them."""
    inputs = dataclasses.replace(prepared.inputs, old=fine)
    looks = tuple(look(inputs.frozen, fine, window, rasterizer, inputs.mode) for window in inputs.windows)
    first = tuple(look_of(one, ancestors) for one in prepared.first)
    footprint = footprints(fine.means, inputs.windows)
    return Prepared(inputs, first, prepared.backgrounds, footprint, prepared.stride), looks


def densified(
    network: GenerativeDensification,
    prepared: Prepared,
    looks: Sequence[Look],
    share: float,
    largest: int,
    photos: int,
    report: Report,
    finished: Callable[[Fine], None],
) -> Fine:
    """Fine Gaussians for the inputs' old ones, in tiles of at most `largest` that each look at their best `photos`.

    `finished` gets all there is after each tile.
    """
    state, parts, done = prepared.inputs.old, [], 0
    maps = described(network, prepared, looks)
    for tile in tiles(state.means, largest):
        report("Densifying", done / len(state))
        points, best = points_of(prepared, looks, tile.rows, photos)
        grown = network(state.take(tile.rows), points, maps.take(best), share)
        own = tile.core[grown.ancestors]
        parts.append(Fine(grown.fine.take(own), tile.rows[grown.ancestors[own]]))
        done += int(tile.core.sum())
        finished(joined(parts))
    return joined(parts)


def settled(
    network: GenerativeDensification,
    prepared: Prepared,
    looks: Sequence[Look],
    largest: int,
    photos: int,
    report: Report,
) -> Gaussians:
    """The inputs' old Gaussians, which are fine ones, after the last look."""
    state, parts, rows = prepared.inputs.old, [], []
    maps = described(network, prepared, looks)
    for tile in tiles(state.means, largest):
        report("Settling", sum(map(len, rows)) / len(state))
        points, best = points_of(prepared, looks, tile.rows, photos)
        parts.append(network.settle(state.take(tile.rows), points, maps.take(best)).take(tile.core))
        rows.append(tile.rows[tile.core])
    return Gaussians.concat(parts).take(torch.cat(rows).argsort())


def described(network: GenerativeDensification, prepared: Prepared, looks: Sequence[Look]) -> Maps:
    """Feature maps of all windows, one after the other: what the image network holds meanwhile is several times as
    large."""
    count = len(prepared.inputs.windows)
    return Maps.concat([network.maps(network_views(network.trunk, prepared, looks, [i])) for i in range(count)])


def points_of(
    prepared: Prepared, looks: Sequence[Look], rows: Int[Tensor, "M"], photos: int
) -> tuple[Points, list[int]]:
    """(some of the Gaussians as the network sees them, the at most `photos` windows in which they show most)."""
    weights = torch.stack([one.weights[rows].sum() for one in looks])
    best = weights.argsort(descending=True, stable=True)[:photos].tolist()
    old = prepared.inputs.old.take(rows)
    windows = tuple(prepared.inputs.windows[i] for i in best)
    first, now = (tuple(look_of(of[i], rows) for i in best) for of in (prepared.first, looks))
    region = dataclasses.replace(
        prepared,
        inputs=dataclasses.replace(prepared.inputs, old=old, windows=windows),
        first=first,
        footprint=prepared.footprint[rows],
    )
    return as_points(region, old, now), best


def joined(parts: Sequence[Fine]) -> Fine:
    """All tiles' Gaussians."""
    return Fine(Gaussians.concat([part.gaussians for part in parts]), torch.cat([part.ancestors for part in parts]))
