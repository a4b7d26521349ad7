"""Gradients of the images -> gradients of every (Gaussian, tile) pair, back to front.

With T the transmittance before a Gaussian, d its colour times the pixel's gradient, and B the same product for all
that lies behind it seen at full transmittance: dL/d(alpha) = T (d - B), and B becomes alpha d + (1 - alpha) B for the
next in front. B starts as dL/d(transmittance left), so background, alpha and expected depth need no case of their own.
"""

from __future__ import annotations

import numpy as np

from gaussian_lens_app.raster.numba_kernels.composite import (
    AHEAD,
    ALPHA_MAX,
    FAINTEST,
    HALF,
    LAST_LISTED,
    LEFT,
    ZERO,
    rows_touched,
)
from gaussian_lens_app.raster.numba_kernels.jit import inline_jit, kernel
from gaussian_lens_app.raster.numba_kernels.lanes import (
    exp2,
    largest,
    load,
    magnitude,
    prefetch,
    ramp,
    select,
    smaller,
    splat,
    store,
    take_ticket,
    total,
    totals,
    totals_of_four,
)
from gaussian_lens_app.raster.numba_kernels.layout import (
    BLUE,
    DEPTH,
    GRAD,
    GREEN,
    MX,
    MY,
    PEAK,
    PIXELS,
    PXX,
    PXY,
    PYY,
    RED,
    TILE,
)

# Planes of the scratch; the first two are those that composite saved.
BEHIND, V_R, V_G, V_B, V_Z, V_FEATURES = (PIXELS * plane for plane in range(2, 8))
ONE = np.float32(1)
LN_2 = np.float32(0.6931471805599453)


@kernel
def composite_grad(
    splats, starts, listed, listed_slot, trainable, tiles_x, background, features, saved, alpha, depth,
    v_rgb, v_alpha, v_depth, v_blended, absolute, per_slot, features_per_slot, tickets,
):  # fmt: skip
    """Fill `per_slot` (slots, GRAD) and `features_per_slot` (slots, F) of the trainable Gaussians."""
    channels = features.shape[1]
    scratch = np.empty(V_FEATURES + channels * PIXELS, np.float32)
    partial = np.empty(TILE * channels, np.float32)
    last_of_row = np.empty(TILE, np.int64)
    flat, flat_slots = splats.reshape(-1), per_slot.reshape(-1)
    while True:
        tile = take_ticket(tickets)
        if tile >= starts.shape[0] - 1:
            break
        start, end = starts[tile], starts[tile + 1]
        while start < end and not trainable[listed[start]]:
            start += 1
        if start == end:
            continue
        x0, y0 = (tile % tiles_x) * TILE, (tile // tiles_x) * TILE
        for place in range(2 * PIXELS):
            scratch[place] = saved[tile, place]
        load_gradients(scratch, x0, y0, background, alpha, depth, v_rgb, v_alpha, v_depth, v_blended)
        last = starts[tile]
        for row in range(TILE):
            last_of_row[row] = starts[tile] + np.int64(largest(load(scratch, LAST_LISTED + row * TILE)))
            last = max(last, last_of_row[row])
        for k in range(max(start, last), end):
            if trainable[listed[k]]:
                store(flat_slots, listed_slot[k] * GRAD, splat(ZERO))
                features_per_slot[listed_slot[k]] = ZERO
        for k in range(last - 1, start - 1, -1):
            prefetch(flat, listed[max(k - AHEAD, start)] * 16)
            i, slot = listed[k], listed_slot[k]
            pair_grad(
                splats[i], features[i], trainable[i], k, starts[tile], x0, y0, last_of_row, absolute, scratch, partial,
                flat_slots, slot, features_per_slot[slot],
            )  # fmt: skip


@inline_jit
def load_gradients(scratch, x0, y0, background, alpha, depth, v_rgb, v_alpha, v_depth, v_blended):
    """Fill the planes from BEHIND on; zeros beyond the window's edge."""
    height, width, channels = v_blended.shape
    for place in range(2 * PIXELS, V_FEATURES + channels * PIXELS):
        scratch[place] = ZERO
    for place in range(PIXELS):
        scratch[LEFT + place] = abs(scratch[LEFT + place])
    for row in range(min(TILE, height - y0)):
        for column in range(min(TILE, width - x0)):
            y, x, place = y0 + row, x0 + column, row * TILE + column
            red, green, blue = v_rgb[y, x, 0], v_rgb[y, x, 1], v_rgb[y, x, 2]
            v_z = v_depth[y, x] / alpha[y, x] if alpha[y, x] > ZERO else ZERO
            scratch[V_R + place], scratch[V_G + place], scratch[V_B + place], scratch[V_Z + place] = (
                red,
                green,
                blue,
                v_z,
            )
            v_left = red * background[0] + green * background[1] + blue * background[2]
            scratch[BEHIND + place] = v_left - v_alpha[y, x] + v_z * depth[y, x]
            for channel in range(channels):
                scratch[V_FEATURES + channel * PIXELS + place] = v_blended[y, x, channel]


@inline_jit
def pair_grad(
    g, features, wanted, k, start, x0, y0, last_of_row, absolute, scratch, partial, per_slot, slot, features_result
):  # fmt: skip
    """Step all pixels of the tile to before this splat; if it is wanted, write its sums over the tile."""
    channels = features.shape[0]
    mx, my = g[MX] - np.float32(x0), g[MY] - np.float32(y0)
    dx = ramp() + (HALF - mx)
    level = dx * dx * g[PXX] + g[PEAK]
    bend = dx * g[PXY]
    red, green, blue, z = splat(g[RED]), splat(g[GREEN]), splat(g[BLUE]), splat(g[DEPTH])
    number = splat(np.float32(k - start))
    # dx is the same in every row, so three sums down the columns hold all six moments.
    s, s_y, s_yy = splat(ZERO), splat(ZERO), splat(ZERO)
    v_r, v_g, v_b, v_z, abs_x, abs_y = splat(ZERO), splat(ZERO), splat(ZERO), splat(ZERO), splat(ZERO), splat(ZERO)
    for channel in range(channels):
        store(partial, channel * TILE, splat(ZERO))
    first, last = rows_touched(g, mx, my)
    for row in range(first, last):
        if k >= last_of_row[row]:
            continue
        place = row * TILE
        dy = np.float32(row) + HALF - my
        power = bend * dy + (level + g[PYY] * dy * dy)
        raw = exp2(power)
        drawn = (power >= splat(FAINTEST)) & (load(scratch, LAST_LISTED + place) > number)
        a = select(drawn, smaller(raw, splat(ALPHA_MAX)), splat(ZERO))
        before = load(scratch, LEFT + place) / (splat(ONE) - a)
        store(scratch, LEFT + place, before)
        pixel_r, pixel_g = load(scratch, V_R + place), load(scratch, V_G + place)
        pixel_b, pixel_z = load(scratch, V_B + place), load(scratch, V_Z + place)
        value = (red * pixel_r + green * pixel_g) + (blue * pixel_b + z * pixel_z)
        for channel in range(channels):
            value = value + load(scratch, V_FEATURES + channel * PIXELS + place) * features[channel]
        behind = load(scratch, BEHIND + place)
        ahead = value - behind
        store(scratch, BEHIND + place, behind + a * ahead)
        if wanted:
            weight = a * before
            v_r, v_g = v_r + weight * pixel_r, v_g + weight * pixel_g
            v_b, v_z = v_b + weight * pixel_b, v_z + weight * pixel_z
            for channel in range(channels):
                seen = weight * load(scratch, V_FEATURES + channel * PIXELS + place)
                store(partial, channel * TILE, load(partial, channel * TILE) + seen)
            slope = select(raw <= splat(ALPHA_MAX), weight * ahead, splat(ZERO))
            s = s + slope
            s_y = s_y + slope * dy
            s_yy = s_yy + slope * (dy * dy)
            if absolute:
                strength = magnitude(slope)
                abs_x = abs_x + strength * magnitude(dx * (g[PXX] * np.float32(2)) + g[PXY] * dy)
                abs_y = abs_y + strength * magnitude(bend + np.float32(2) * g[PYY] * dy)
    if wanted:
        # In the order of layout.GRAD.
        moments = totals_of_four(s * dx, s_y, s * dx * dx, s_y * dx)
        rest = totals_of_four(s_yy, s, v_r, v_g)
        colors = totals_of_four(v_b, v_z, abs_x * LN_2, abs_y * LN_2)
        store(per_slot, slot * GRAD, totals(moments, rest, colors, splat(ZERO)))
        for channel in range(channels):
            features_result[channel] = total(load(partial, channel * TILE))
