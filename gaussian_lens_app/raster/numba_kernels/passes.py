"""The kernels in order, on numpy arrays: `forward`, `backward`, `contributions`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gaussian_lens_app.raster.numba_kernels import composite, composite_grad, projection, projection_grad, tiles
from gaussian_lens_app.raster.numba_kernels.layout import GRAD, HEIGHT_PX, SPLAT, TILE, WIDTH
from gaussian_lens_app.raster.numba_kernels.threads import run, thread_count

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Inputs:
    """One scene and one view as contiguous float32 arrays."""

    means: Array
    quats: Array
    log_scales: Array
    logit_opacities: Array
    sh0: Array
    shN: Array
    features: Array
    """(N, F), F may be 0."""
    background: Array
    """(3,)"""
    degree: int
    """SH bands used."""
    view: Array
    """layout.VIEW floats."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the window."""
        return int(self.view[WIDTH]), int(self.view[HEIGHT_PX])


@dataclass(frozen=True, eq=False)
class Listing:
    """The projected scene, sorted into tiles."""

    splats: Array
    """(N, layout.SPLAT)"""
    pairs: Array
    """(N,) tiles each Gaussian enters, 0 where it is not drawn."""
    slots: Array
    """(N,) first of each Gaussian's slots, one per tile it enters."""
    tile_of: Array
    """(slots,) tile of a slot, -1 for a spare one."""
    starts: Array
    """(tiles + 1,) bounds of each tile's list."""
    listed: Array
    """(slots,) Gaussians, tile after tile, nearest first."""
    listed_slot: Array
    """(slots,) their slots."""
    columns: int
    """Tiles side by side."""


@dataclass(frozen=True, eq=False)
class Images:
    """What `forward` draws, and what `backward` needs of it."""

    rgb: Array
    alpha: Array
    depth: Array
    median: Array
    features: Array
    saved: Array


@dataclass(frozen=True, eq=False)
class Gradients:
    """Gradients of a loss with respect to the images."""

    rgb: Array
    alpha: Array
    depth: Array
    features: Array


def list_splats(inputs: Inputs) -> Listing:
    """Project all Gaussians and sort those in the window into its tiles."""
    count = len(inputs.means)
    splats, pairs = np.empty((count, SPLAT), np.float32), np.empty(count, np.int32)
    scene = (inputs.means, inputs.quats, inputs.log_scales, inputs.logit_opacities, inputs.sh0, inputs.shN)
    run(projection.project, *scene, inputs.degree, inputs.view, splats, pairs)

    order, slots = np.empty(count, np.int32), np.empty(count, np.int64)
    drawn = tiles.depth_order(splats, pairs, order)
    total = tiles.assign_slots(pairs, slots)

    columns, rows = (-(-pixels // TILE) for pixels in inputs.size)
    shares = max(1, min(4 * thread_count(), drawn // 1024))
    counts, starts = np.empty((shares, columns * rows), np.int64), np.empty(columns * rows + 1, np.int64)
    tile_of, listed, listed_slot = (np.empty(total, np.int32) for _ in range(3))
    run(tiles.list_tiles, order, drawn, splats, pairs, slots, columns, rows, tile_of, counts)
    tiles.place_tiles(counts, starts)
    run(tiles.fill_lists, order, drawn, pairs, slots, tile_of, counts, listed, listed_slot)
    return Listing(splats, pairs, slots, tile_of, starts, listed, listed_slot, columns)


def forward(inputs: Inputs, keep: bool) -> tuple[Listing, Images]:
    """Draw; `keep` what `backward` will need."""
    images = blank_images(inputs, keep)  # first: an image too large for the memory is refused before any work
    listing = list_splats(inputs)
    blend(inputs, listing, images)
    return listing, images


def blank_images(inputs: Inputs, keep: bool) -> Images:
    """Images to be filled."""
    width, height = inputs.size
    tiles = -(-width // TILE) * -(-height // TILE)
    return Images(
        rgb=np.empty((height, width, 3), np.float32),
        alpha=np.empty((height, width), np.float32),
        depth=np.empty((height, width), np.float32),
        median=np.empty((height, width), np.float32),
        features=np.empty((height, width, inputs.features.shape[1]), np.float32),
        saved=np.empty((tiles if keep else 0, composite.SAVED), np.float32),
    )


def blend(inputs: Inputs, listing: Listing, images: Images) -> None:
    """Fill the images from the tile lists."""
    run(
        composite.composite, listing.splats, listing.starts, listing.listed, listing.columns, *inputs.size,
        inputs.background, inputs.features,
        images.rgb, images.alpha, images.depth, images.median, images.features, images.saved,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Asked:
    """Which gradients are wanted beyond those of the shape and sh0."""

    trainable: Array
    """(N,) bool"""
    shN: bool
    probe: bool


def backward(inputs: Inputs, listing: Listing, images: Images, grads: Gradients, asked: Asked) -> dict[str, Array]:
    """Gradients by name: the scene's fields, features, probe (empty where not asked for)."""
    count, channels = inputs.features.shape
    per_slot = np.empty((len(listing.tile_of), GRAD), np.float32)
    features_per_slot = np.empty((len(listing.tile_of), channels), np.float32)
    run(
        composite_grad.composite_grad, listing.splats, listing.starts, listing.listed, listing.listed_slot,
        asked.trainable, listing.columns, inputs.background, inputs.features, images.saved, images.alpha, images.depth,
        grads.rgb, grads.alpha, grads.depth, grads.features, asked.probe, per_slot, features_per_slot,
    )  # fmt: skip
    result = {
        name: np.empty_like(getattr(inputs, name))
        for name in ("means", "quats", "log_scales", "logit_opacities", "sh0")
    }
    result["shN"] = np.empty_like(inputs.shN) if asked.shN else np.empty((0, 0, 3), np.float32)
    result["probe"] = np.empty((count if asked.probe else 0, 4), np.float32)
    run(
        projection_grad.project_grad, inputs.means, inputs.quats, inputs.log_scales, inputs.logit_opacities,
        inputs.shN, inputs.degree, inputs.view, listing.splats, listing.pairs, listing.slots,
        listing.tile_of, asked.trainable, per_slot, *result.values(),
    )  # fmt: skip
    result["features"] = np.empty((count, channels), np.float32)
    if channels:
        sum_slots(listing, features_per_slot, asked.trainable, result["features"])
    return result


def contributions(inputs: Inputs, weights: Array) -> Array:
    """(N, M): each Gaussian's blending weight summed over pixels weighted by `weights` (h, w, M)."""
    listing = list_splats(inputs)
    per_slot = np.zeros((len(listing.tile_of), weights.shape[2]), np.float32)
    run(
        composite.contribute, listing.splats, listing.starts, listing.listed, listing.listed_slot, listing.columns,
        weights, per_slot,
    )  # fmt: skip
    result = np.empty((len(inputs.means), weights.shape[2]), np.float32)
    sum_slots(listing, per_slot, np.ones(len(inputs.means), np.bool_), result)
    return result


def sum_slots(listing: Listing, per_slot: Array, wanted: Array, result: Array) -> None:
    """Add up each wanted Gaussian's slots, zeros for the others."""
    run(composite.sum_slots, listing.slots, listing.pairs, listing.tile_of, wanted, per_slot, result)
