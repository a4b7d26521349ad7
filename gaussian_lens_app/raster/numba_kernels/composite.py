"""Tile lists -> pixels, front to back; and each Gaussian's summed blending weight."""

from __future__ import annotations

import math

import numpy as np

from gaussian_lens_app.raster import base
from gaussian_lens_app.raster.numba_kernels.jit import inline_jit, kernel
from gaussian_lens_app.raster.numba_kernels.lanes import (
    exp2,
    load,
    magnitude,
    prefetch,
    ramp,
    select,
    smaller,
    some,
    splat,
    store,
    take_ticket,
    total,
)
from gaussian_lens_app.raster.numba_kernels.layout import (
    BLUE,
    DEPTH,
    GREEN,
    LOG2_ALPHA_MIN,
    MARGIN,
    MX,
    MY,
    NARROW,
    PEAK,
    PIXELS,
    PXX,
    PXY,
    PYY,
    REACH,
    RED,
    SLOPE,
    SPREAD,
    TILE,
    TOP_X,
)

ALPHA_MAX = np.float32(base.ALPHA_MAX)
FAINTEST = np.float32(LOG2_ALPHA_MIN)
TRANSMITTANCE_MIN = np.float32(base.TRANSMITTANCE_MIN)
HALF, LAST, ZERO, EDGE = np.float32(0.5), np.float32(TILE - 0.5), np.float32(0), np.float32(MARGIN)

# The planes of a tile's scratch, PIXELS floats each. The transmittance of a finished pixel is kept negative.
LEFT, LAST_LISTED, SUM_R, SUM_G, SUM_B, SUM_Z, MEDIAN, SUM_FEATURES = (PIXELS * plane for plane in range(8))
SAVED = 2 * PIXELS
"""Floats per tile kept for the way back: the planes LEFT and LAST_LISTED."""
AHEAD = 4
"""Splats fetched ahead."""


@inline_jit
def rows_touched(g, mx, my):
    """First and last (excluded) pixel row of the tile that the ellipse reaches, mx and my in pixels of the tile."""
    right, left = LAST - mx, HALF - mx
    low_x = min(max(g[TOP_X], left), right)
    high_x = min(max(-g[TOP_X], left), right)
    bottom = my + g[SLOPE] * low_x + g[SPREAD] * np.sqrt(max(ZERO, g[REACH] - g[NARROW] * low_x * low_x))
    top = my + g[SLOPE] * high_x - g[SPREAD] * np.sqrt(max(ZERO, g[REACH] - g[NARROW] * high_x * high_x))
    first = math.ceil(max(ZERO, top - HALF - EDGE))
    last = math.floor(min(LAST, bottom - HALF + EDGE)) + np.float32(1)
    return np.int64(first), np.int64(last)


@inline_jit
def clear_tile(scratch, planes, width, height):
    """Zero the planes; transmittance 1 inside the window and -1 (finished) beyond its edge."""
    for place in range(0, planes * PIXELS, TILE):
        store(scratch, place, splat(ZERO))
    inside = select(ramp() < np.float32(width), splat(np.float32(1)), splat(np.float32(-1)))
    for row in range(TILE):
        store(scratch, LEFT + row * TILE, inside if row < height else splat(np.float32(-1)))


@kernel
def composite(
    splats,
    starts,
    listed,
    tiles_x,
    width,
    height,
    background,
    features,
    rgb,
    alpha,
    depth,
    median,
    blended,
    saved,
    tickets,
):
    """Fill the images; `saved` (tiles, SAVED) or (0, SAVED) when nothing will be asked back."""
    channels = features.shape[1]
    scratch = np.empty(SUM_FEATURES + channels * PIXELS, np.float32)
    flat = splats.reshape(-1)
    while True:
        tile = take_ticket(tickets)
        if tile >= starts.shape[0] - 1:
            break
        x0, y0 = (tile % tiles_x) * TILE, (tile // tiles_x) * TILE
        clear_tile(scratch, 7 + channels, width - x0, height - y0)
        blend_tile(splats, flat, listed, starts[tile], starts[tile + 1], x0, y0, features, scratch)
        write_tile(scratch, x0, y0, width, height, background, rgb, alpha, depth, median, blended)
        if saved.shape[0] > 0:
            for place in range(SAVED):
                saved[tile, place] = scratch[place]


@inline_jit
def blend_tile(splats, flat, listed, start, end, x0, y0, features, scratch):
    """Add the listed splats to the scratch until every pixel is finished."""
    channels = features.shape[1]
    columns = ramp() + HALF
    unfinished = 0
    for row in range(TILE):
        unfinished |= np.int64(some(load(scratch, LEFT + row * TILE) > ZERO)) << row
    for k in range(start, end):
        prefetch(flat, listed[min(k + AHEAD, end - 1)] * 16)
        i = listed[k]
        g = splats[i]
        mx, my = g[MX] - np.float32(x0), g[MY] - np.float32(y0)
        dx = columns - mx
        level = dx * dx * g[PXX] + g[PEAK]
        bend = dx * g[PXY]
        red, green, blue, z = splat(g[RED]), splat(g[GREEN]), splat(g[BLUE]), splat(g[DEPTH])
        number = splat(np.float32(k - start + 1))
        first, last = rows_touched(g, mx, my)
        for row in range(first, last):
            if not (unfinished >> row) & 1:
                continue
            place = row * TILE
            dy = np.float32(row) + HALF - my
            power = bend * dy + (level + g[PYY] * dy * dy)
            a = smaller(exp2(power), splat(ALPHA_MAX))
            left = load(scratch, LEFT + place)
            taken = a * left
            after = left - taken
            seen = power >= splat(FAINTEST)
            drawn = seen & (after > splat(TRANSMITTANCE_MIN))
            weight = select(drawn, taken, splat(ZERO))
            store(scratch, SUM_R + place, load(scratch, SUM_R + place) + weight * red)
            store(scratch, SUM_G + place, load(scratch, SUM_G + place) + weight * green)
            store(scratch, SUM_B + place, load(scratch, SUM_B + place) + weight * blue)
            store(scratch, SUM_Z + place, load(scratch, SUM_Z + place) + weight * z)
            passes = drawn & (left >= splat(HALF)) & (after < splat(HALF))
            store(scratch, MEDIAN + place, select(passes, z, load(scratch, MEDIAN + place)))
            store(scratch, LAST_LISTED + place, select(drawn, number, load(scratch, LAST_LISTED + place)))
            left = select(drawn, after, select(seen, splat(ZERO) - magnitude(left), left))
            store(scratch, LEFT + place, left)
            for channel in range(channels):
                plane = SUM_FEATURES + channel * PIXELS + place
                store(scratch, plane, load(scratch, plane) + weight * features[i, channel])
            if not some(left > splat(ZERO)):
                unfinished &= ~(1 << row)
        if unfinished == 0:
            break


@inline_jit
def write_tile(scratch, x0, y0, width, height, background, rgb, alpha, depth, median, blended):
    """Copy the part of a tile that lies in the window into the images."""
    columns = min(TILE, width - x0)
    for row in range(min(TILE, height - y0)):
        y, place = y0 + row, row * TILE
        for column in range(columns):
            left = abs(scratch[LEFT + place + column])
            rgb[y, x0 + column, 0] = scratch[SUM_R + place + column] + left * background[0]
            rgb[y, x0 + column, 1] = scratch[SUM_G + place + column] + left * background[1]
            rgb[y, x0 + column, 2] = scratch[SUM_B + place + column] + left * background[2]
        for column in range(columns):
            opaque = np.float32(1) - abs(scratch[LEFT + place + column])
            alpha[y, x0 + column] = opaque
            depth[y, x0 + column] = scratch[SUM_Z + place + column] / (opaque if opaque > ZERO else np.float32(1))
            median[y, x0 + column] = scratch[MEDIAN + place + column]
        for channel in range(blended.shape[2]):
            plane = SUM_FEATURES + channel * PIXELS + place
            for column in range(columns):
                blended[y, x0 + column, channel] = scratch[plane + column]


@kernel
def contribute(splats, starts, listed, listed_slot, tiles_x, weights, sums, tickets):
    """Fill `sums` (slots, M): for each Gaussian and tile the sum over pixels of weights (h, w, M) * alpha T.

    `sums` comes in as zeros; pixels without weight cost nothing.
    """
    amounts = weights.shape[2]
    scratch = np.empty(PIXELS * (1 + amounts), np.float32)
    partial = np.empty(TILE * amounts, np.float32)
    while True:
        tile = take_ticket(tickets)
        if tile >= starts.shape[0] - 1:
            break
        x0, y0 = (tile % tiles_x) * TILE, (tile // tiles_x) * TILE
        if load_weights(weights, x0, y0, scratch):
            contribute_tile(splats, listed, listed_slot, starts[tile], starts[tile + 1], x0, y0, scratch, partial, sums)


@inline_jit
def load_weights(weights, x0, y0, scratch):
    """Fill the planes after the first with the tile's weights, the first with 1, or -1 at pixels without weight."""
    height, width, amounts = weights.shape
    for place in range(scratch.shape[0]):
        scratch[place] = ZERO
    found = False
    for row in range(TILE):
        for column in range(TILE):
            weighted = False
            if y0 + row < height and x0 + column < width:
                for m in range(amounts):
                    value = weights[y0 + row, x0 + column, m]
                    scratch[PIXELS * (1 + m) + row * TILE + column] = value
                    weighted |= value != ZERO
            scratch[row * TILE + column] = np.float32(1) if weighted else np.float32(-1)
            found |= weighted
    return found


@inline_jit
def contribute_tile(splats, listed, listed_slot, start, end, x0, y0, scratch, partial, sums):
    """Write the sums of the listed splats over this tile."""
    amounts = sums.shape[1]
    columns = ramp() + HALF
    unfinished = 0
    for row in range(TILE):
        unfinished |= np.int64(some(load(scratch, row * TILE) > ZERO)) << row
    for k in range(start, end):
        g = splats[listed[k]]
        mx, my = g[MX] - np.float32(x0), g[MY] - np.float32(y0)
        dx = columns - mx
        level = dx * dx * g[PXX] + g[PEAK]
        bend = dx * g[PXY]
        for m in range(amounts):
            store(partial, m * TILE, splat(ZERO))
        first, last = rows_touched(g, mx, my)
        for row in range(first, last):
            if not (unfinished >> row) & 1:
                continue
            place = row * TILE
            dy = np.float32(row) + HALF - my
            power = bend * dy + (level + g[PYY] * dy * dy)
            a = smaller(exp2(power), splat(ALPHA_MAX))
            left = load(scratch, place)
            taken = a * left
            after = left - taken
            seen = power >= splat(FAINTEST)
            drawn = seen & (after > splat(TRANSMITTANCE_MIN))
            weight = select(drawn, taken, splat(ZERO))
            for m in range(amounts):
                weighted = weight * load(scratch, PIXELS * (1 + m) + place)
                store(partial, m * TILE, load(partial, m * TILE) + weighted)
            left = select(drawn, after, select(seen, splat(ZERO) - magnitude(left), left))
            store(scratch, place, left)
            if not some(left > splat(ZERO)):
                unfinished &= ~(1 << row)
        for m in range(amounts):
            sums[listed_slot[k], m] = total(load(partial, m * TILE))
        if unfinished == 0:
            break


@kernel
def sum_slots(slots, pairs, tile_of, wanted, per_slot, result, tickets):
    """Add up each Gaussian's slots in order, so the result does not depend on which thread did what."""
    block = 4096
    while True:
        start = take_ticket(tickets) * block
        if start >= pairs.shape[0]:
            break
        for i in range(start, min(start + block, pairs.shape[0])):
            result[i] = ZERO
            if wanted[i]:
                for slot in range(slots[i], slots[i] + pairs[i]):
                    if tile_of[slot] >= 0:
                        for m in range(result.shape[1]):
                            result[i, m] += per_slot[slot, m]
