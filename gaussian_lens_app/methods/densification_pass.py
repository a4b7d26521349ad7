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
from gaussian_lens_app.methods.targets import Target
from gaussian_lens_app.networks.generative_densification import GenerativeDensification
from gaussian_lens_app.raster import Rasterizer, Render
from gaussian_lens_app.scene import Gaussians, Rect

STRIDE = 3
"""Grid cells of the trunk are so many photo pixels, as in GaussianLens."""
MARGIN, LEAST = 16, 48
"""Pixels around the Gaussians of a tile that are looked at with them, and the least side of what is looked at."""
OUTERMOST = 0.01
"""Part of a tile's Gaussians on each side that may lie beyond what is looked at: stragglers."""
LEAST_WEIGHT = 0.1
"""Blending weight in pixels from which a Gaussian counts as showing in a photo."""


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
    for tile in tiles(state.means, largest):
        report("Densifying", done / len(state))
        one, seen = as_region(prepared, looks, tile.rows, photos)
        maps = network.maps(network_views(network.trunk, one, seen))
        grown = network(one.inputs.old, as_points(one, one.inputs.old, seen), maps, share)
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
    for tile in tiles(state.means, largest):
        report("Settling", sum(map(len, rows)) / len(state))
        one, seen = as_region(prepared, looks, tile.rows, photos)
        maps = network.maps(network_views(network.trunk, one, seen))
        parts.append(network.settle(one.inputs.old, as_points(one, one.inputs.old, seen), maps).take(tile.core))
        rows.append(tile.rows[tile.core])
    return Gaussians.concat(parts).take(torch.cat(rows).argsort())


def as_region(
    prepared: Prepared, looks: Sequence[Look], rows: Int[Tensor, "M"], photos: int
) -> tuple[Prepared, tuple[Look, ...]]:
    """Some of the Gaussians as a region of their own, as the network knows them from training: the photos in which they
    show most, best first, cut to where they show."""
    weights = torch.stack([one.weights[rows].sum() for one in looks])
    best = weights.argsort(descending=True, stable=True)[:photos].tolist()
    inputs, means = prepared.inputs, prepared.inputs.old.means[rows]
    rects = [_shown(means, looks[i].weights[rows], inputs.windows[i]) for i in best]
    region = dataclasses.replace(
        inputs,
        old=inputs.old.take(rows),
        windows=tuple(_cut_window(inputs.windows[i], rect) for i, rect in zip(best, rects, strict=True)),
    )

    def cut(of: Sequence[Look]) -> tuple[Look, ...]:
        return tuple(
            dataclasses.replace(look_of(of[i], rows), render=_cut_render(of[i].render, inputs.windows[i], rect))
            for i, rect in zip(best, rects, strict=True)
        )

    backgrounds = tuple(
        (
            _cut(prepared.backgrounds[i][0], inputs.windows[i], rect),
            _cut(prepared.backgrounds[i][1], inputs.windows[i], rect),
        )
        for i, rect in zip(best, rects, strict=True)
    )
    return Prepared(region, cut(prepared.first), backgrounds, prepared.footprint[rows], prepared.stride), cut(looks)


def _shown(means: Tensor, weights: Tensor, window: Target) -> Rect:
    """The part of a window that holds the Gaussians that show in it, less the outermost few, and a margin."""
    x0, y0, x1, y1 = window.rect
    pixels, depths = window.camera.project(means)
    pixels = pixels[(weights > LEAST_WEIGHT) & (depths > 0)]
    if len(pixels) == 0:
        return window.rect
    low, high = (pixels.quantile(q, 0) for q in (OUTERMOST, 1 - OUTERMOST))
    low, high = low - MARGIN, high + MARGIN
    left, top = max(x0, min(int(low[0]), x1 - LEAST)), max(y0, min(int(low[1]), y1 - LEAST))
    return left, top, min(x1, max(int(high[0]) + 1, left + LEAST)), min(y1, max(int(high[1]) + 1, top + LEAST))


def _cut(image: Tensor, window: Target, rect: Rect) -> Tensor:
    x0, y0, x1, y1 = rect
    return image[y0 - window.rect[1] : y1 - window.rect[1], x0 - window.rect[0] : x1 - window.rect[0]]


def _cut_window(window: Target, rect: Rect) -> Target:
    photo, mask = _cut(window.photo, window, rect), _cut(window.mask, window, rect)
    return dataclasses.replace(window, rect=rect, photo=photo, mask=mask)


def _cut_render(render: Render, window: Target, rect: Rect) -> Render:
    planes = (render.rgb, render.alpha, render.depth, render.median_depth)
    return Render(*(_cut(plane, window, rect) for plane in planes))


def joined(parts: Sequence[Fine]) -> Fine:
    """All tiles' Gaussians."""
    return Fine(Gaussians.concat([part.gaussians for part in parts]), torch.cat([part.ancestors for part in parts]))
