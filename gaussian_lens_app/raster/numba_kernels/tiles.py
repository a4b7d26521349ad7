"""Splats -> for each tile the list of those that enter it, nearest first: one sort by depth, one counting sort."""

from __future__ import annotations

import numpy as np

from gaussian_lens_app.raster.numba_kernels.jit import kernel
from gaussian_lens_app.raster.numba_kernels.lanes import prefetch, take_ticket
from gaussian_lens_app.raster.numba_kernels.layout import DEPTH, HEIGHT, MY, SPLAT
from gaussian_lens_app.raster.numba_kernels.projection import row_span, tile_range

AHEAD = 8
"""Splats fetched ahead: by depth they are visited all over the memory."""
DIGIT = 11
"""Bits per pass of the radix sort; three passes cover a float32."""


@kernel
def depth_order(splats, pairs, order):
    """Fill `order` with the drawn Gaussians by depth, equal depths by index; how many there are.

    The bits of positive floats sort as the floats do.
    """
    drawn = 0
    for i in range(pairs.shape[0]):
        if pairs[i] > 0:
            order[drawn] = i
            drawn += 1
    depths = np.empty(drawn, np.float32)
    for j in range(drawn):
        depths[j] = splats[order[j], DEPTH]
    keys, spare_keys, spare = depths.view(np.uint32), np.empty(drawn, np.uint32), np.empty(drawn, np.int32)
    rows = order[:drawn]
    ends = np.zeros((3, 1 << DIGIT), np.int32)
    for j in range(drawn):
        for digit in range(3):
            ends[digit, (keys[j] >> np.uint32(DIGIT * digit)) & np.uint32((1 << DIGIT) - 1)] += 1
    for digit in range(3):
        total = 0
        for value in range(1 << DIGIT):
            total, ends[digit, value] = total + ends[digit, value], total
        for j in range(drawn):
            value = (keys[j] >> np.uint32(DIGIT * digit)) & np.uint32((1 << DIGIT) - 1)
            place = ends[digit, value]
            ends[digit, value] = place + 1
            spare_keys[place], spare[place] = keys[j], rows[j]
        keys, spare_keys, rows, spare = spare_keys, keys, spare, rows
    for j in range(drawn):
        order[j] = rows[j]  # after three passes the result stands in the spare array
    return drawn


@kernel
def assign_slots(pairs, slots):
    """Give every Gaussian a run of consecutive slots, one per tile it enters; how many there are.

    In the scene's order, in which they are summed on the way back: numbered by depth, that read all over the memory.
    """
    total = 0
    for i in range(pairs.shape[0]):
        slots[i] = total
        total += pairs[i]
    return total


@kernel
def list_tiles(order, drawn, splats, pairs, slots, tiles_x, tiles_y, tile_of, counts, tickets):
    """Fill `tile_of` (slot -> tile) and count, for each share of the order, the entries of each tile."""
    shares = counts.shape[0]
    flat = splats.reshape(-1)
    while True:
        share = take_ticket(tickets)
        if share >= shares:
            break
        counts[share] = 0
        stop = (share + 1) * drawn // shares
        for j in range(share * drawn // shares, stop):
            prefetch(flat, order[min(j + AHEAD, stop - 1)] * SPLAT)
            i = order[j]
            splat = splats[i]
            slot, end = slots[i], slots[i] + pairs[i]
            first, last = tile_range(splat[MY] - splat[HEIGHT], splat[MY] + splat[HEIGHT], tiles_y)
            for tile_y in range(first, last):
                left, right = row_span(splat, tile_y, tiles_x)
                # Compiled into another kernel, row_span may round otherwise than when it was counted: never overrun.
                for tile_x in range(left, min(right, left + end - slot)):
                    tile_of[slot] = tile_y * tiles_x + tile_x
                    counts[share, tile_y * tiles_x + tile_x] += 1
                    slot += 1
            while slot < end:
                tile_of[slot] = -1
                slot += 1


@kernel
def place_tiles(counts, starts):
    """Turn counts into places: `starts` bounds each tile's list, `counts` becomes where each share begins in it."""
    total = 0
    for tile in range(counts.shape[1]):
        starts[tile] = total
        for share in range(counts.shape[0]):
            total, counts[share, tile] = total + counts[share, tile], total
    starts[counts.shape[1]] = total


@kernel
def fill_lists(order, drawn, pairs, slots, tile_of, counts, listed, listed_slot, tickets):
    """Write every pair's Gaussian and slot into its tile's list, in the order of depth."""
    shares = counts.shape[0]
    while True:
        share = take_ticket(tickets)
        if share >= shares:
            break
        for j in range(share * drawn // shares, (share + 1) * drawn // shares):
            i = order[j]
            for slot in range(slots[i], slots[i] + pairs[i]):
                tile = tile_of[slot]
                if tile >= 0:
                    place = counts[share, tile]
                    counts[share, tile] = place + 1
                    listed[place], listed_slot[place] = i, slot
