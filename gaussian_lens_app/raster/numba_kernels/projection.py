"""Gaussians -> splats: 2D ellipses with colours, one pass from the stored parameters."""

from __future__ import annotations

import math

import numpy as np

from gaussian_lens_app.raster.base import ALPHA_MIN, NEAR
from gaussian_lens_app.raster.numba_kernels.jit import inline_jit, kernel
from gaussian_lens_app.raster.numba_kernels.lanes import fill_exponentials, take_ticket
from gaussian_lens_app.raster.numba_kernels.layout import (
    BLUE,
    COMPENSATE,
    CX,
    CY,
    DEPTH,
    EPS2D,
    EYE,
    FX,
    FY,
    GREEN,
    HEIGHT,
    HEIGHT_PX,
    LOG2_ALPHA_MIN,
    MARGIN,
    MAX_X,
    MAX_Y,
    MIN_X,
    MIN_Y,
    MX,
    MY,
    NARROW,
    PEAK,
    PXX,
    PXY,
    PYY,
    REACH,
    RED,
    SLOPE,
    SPREAD,
    TILE,
    TOP_X,
    TRANSLATION,
    WIDTH,
)
from gaussian_lens_app.raster.numba_kernels.sh import fill_basis

BLOCK = 1024
"""Gaussians per task."""
LOG2_E = math.log2(math.e)


@inline_jit
def to_camera(means, i, view):
    """The centre in camera axes; scalars here are doubles, which costs nothing without SIMD."""
    x, y, z = float(means[i, 0]), float(means[i, 1]), float(means[i, 2])
    return (
        view[0] * x + view[1] * y + view[2] * z + view[TRANSLATION],
        view[3] * x + view[4] * y + view[5] * z + view[TRANSLATION + 1],
        view[6] * x + view[7] * y + view[8] * z + view[TRANSLATION + 2],
    )


@inline_jit
def clamp(value, low, high):
    return min(max(value, low), high)


@inline_jit
def jacobian_rows(u, v, z, view):
    """The two rows of d(pixel)/d(world), the Jacobian at the clamped plane position (u, v) times the rotation."""
    fx, fy = view[FX] / z, view[FY] / z
    return (
        (fx * (view[0] - u * view[6]), fx * (view[1] - u * view[7]), fx * (view[2] - u * view[8])),
        (fy * (view[3] - v * view[6]), fy * (view[4] - v * view[7]), fy * (view[5] - v * view[8])),
    )


@inline_jit
def unit_quat(quats, i):
    """The normalised quaternion and the norm it had."""
    w, x, y, z = float(quats[i, 0]), float(quats[i, 1]), float(quats[i, 2]), float(quats[i, 3])
    norm = max(math.sqrt(w * w + x * x + y * y + z * z), 1e-12)
    return w / norm, x / norm, y / norm, z / norm, norm


@inline_jit
def rotation_columns(w, x, y, z):
    """The principal axes: columns of the rotation matrix."""
    return (
        (1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)),
        (2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)),
        (2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)),
    )


@inline_jit
def dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@inline_jit
def cross(a, b):
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@inline_jit
def projected_axes(row_x, row_y, columns, scales):
    """The 2x3 matrix whose product with its own transpose is the sharp 2D covariance."""
    return (
        (dot(row_x, columns[0]) * scales[0], dot(row_x, columns[1]) * scales[1], dot(row_x, columns[2]) * scales[2]),
        (dot(row_y, columns[0]) * scales[0], dot(row_y, columns[1]) * scales[1], dot(row_y, columns[2]) * scales[2]),
    )


@inline_jit
def covariance(axes_x, axes_y, eps2d):
    """(xx, xy, yy) with the 2D filter, determinant without and with it; neither determinant cancels for needles."""
    xx, xy, yy = dot(axes_x, axes_x), dot(axes_x, axes_y), dot(axes_y, axes_y)
    normal = cross(axes_x, axes_y)
    sharp = dot(normal, normal)
    return xx + eps2d, xy, yy + eps2d, sharp, sharp + eps2d * (xx + yy) + eps2d * eps2d


@inline_jit
def view_direction(means, i, view):
    """Unit vector from the eye to the centre, and the distance."""
    x, y, z = means[i, 0] - view[EYE], means[i, 1] - view[EYE + 1], means[i, 2] - view[EYE + 2]
    distance = max(math.sqrt(x * x + y * y + z * z), 1e-12)
    return x / distance, y / distance, z / distance, distance


@inline_jit
def tile_range(low, high, tiles):
    """Tiles first..last (last excluded) with a pixel centre in [low, high]."""
    first = clamp(math.floor((low - 0.5 - MARGIN) / TILE), 0.0, float(tiles))
    # A tile's last centre is at 15.5: reaching 0.5 into the next tile is what enters it.
    last = clamp(math.floor((high - 0.5 + MARGIN) / TILE) + 1, 0.0, float(tiles))
    return int(first), int(last)


@inline_jit
def row_span(splat, tile_y, tiles_x):
    """Tiles first..last of one tile row that the ellipse enters, exactly (up to MARGIN)."""
    height, reach = float(splat[HEIGHT]), float(splat[REACH])
    top, bottom = TILE * tile_y + 0.5 - splat[MY], TILE * tile_y + TILE - 0.5 - splat[MY]
    slope = splat[TOP_X] / height
    narrow = reach / (height * height)
    spread = 1 / math.sqrt(-splat[PXX] * (2 / LOG2_E))
    right_y = splat[SLOPE] * math.sqrt(reach / splat[NARROW])
    high, low = clamp(right_y, top, bottom), clamp(-right_y, top, bottom)
    right = slope * high + spread * math.sqrt(max(0.0, reach - narrow * high * high))
    left = slope * low - spread * math.sqrt(max(0.0, reach - narrow * low * low))
    return tile_range(splat[MX] + left, splat[MX] + right, tiles_x)


@inline_jit
def count_tiles(splat, view):
    """Number of tiles of the window that the ellipse enters."""
    tiles_x, tiles_y = -int(-view[WIDTH] // TILE), -int(-view[HEIGHT_PX] // TILE)
    first, last = tile_range(splat[MY] - splat[HEIGHT], splat[MY] + splat[HEIGHT], tiles_y)
    count = 0
    for tile_y in range(first, last):
        left, right = row_span(splat, tile_y, tiles_x)
        count += max(0, right - left)
    return count


@inline_jit
def misses_window(x, y, z, u, v, largest_scale, view):
    """True when even a ball of the largest scale, blurred, stays outside: saves most of the work of a crop."""
    fx, fy = view[FX] / z, view[FY] / z
    sigma_x = largest_scale * abs(fx) * math.sqrt(1 + u * u)
    sigma_y = largest_scale * abs(fy) * math.sqrt(1 + v * v)
    # 3.34 sigma reach alpha = 1/255 from the largest opacity, 1.
    reach_x = 3.34 * math.sqrt(sigma_x * sigma_x + view[EPS2D]) + 1
    reach_y = 3.34 * math.sqrt(sigma_y * sigma_y + view[EPS2D]) + 1
    px, py = fx * x + view[CX], fy * y + view[CY]
    inside = (
        px + reach_x > 0 and px - reach_x < view[WIDTH] and py + reach_y > 0 and py - reach_y < view[HEIGHT_PX]
    )  # written so that NaN is outside
    return not inside


@inline_jit
def project_one(means, quats, i, scales, opacity, view, splat):
    """Fill all of a splat but its colour; the number of tiles it enters, 0 when it is not drawn."""
    x, y, z = to_camera(means, i, view)
    if not z >= NEAR:
        return 0
    u, v = clamp(x / z, view[MIN_X], view[MAX_X]), clamp(y / z, view[MIN_Y], view[MAX_Y])
    if opacity < ALPHA_MIN or misses_window(x, y, z, u, v, max(scales), view):
        return 0
    w, qx, qy, qz, _ = unit_quat(quats, i)
    row_x, row_y = jacobian_rows(u, v, z, view)
    axes_x, axes_y = projected_axes(row_x, row_y, rotation_columns(w, qx, qy, qz), scales)
    xx, xy, yy, sharp, blurred = covariance(axes_x, axes_y, view[EPS2D])
    if view[COMPENSATE] > 0:
        opacity *= math.sqrt(sharp / blurred)
    if not (opacity >= ALPHA_MIN and blurred > 0 and xx < 1e18 and yy < 1e18):
        return 0
    splat[MX], splat[MY], splat[DEPTH] = view[FX] * x / z + view[CX], view[FY] * y / z + view[CY], z
    fill_ellipse(splat, xx, xy, yy, blurred, opacity)
    return count_tiles(splat, view)


@inline_jit
def fill_ellipse(splat, xx, xy, yy, determinant, opacity):
    """The exponent's polynomial and the outline at ALPHA_MIN of a splat with this covariance."""
    splat[PXX] = -0.5 * LOG2_E * yy / determinant
    splat[PXY] = LOG2_E * xy / determinant
    splat[PYY] = -0.5 * LOG2_E * xx / determinant
    peak = math.log2(opacity)
    splat[PEAK] = peak
    reach = 2 / LOG2_E * (peak - LOG2_ALPHA_MIN)
    height = max(math.sqrt(reach * yy), 1e-6)
    splat[SLOPE], splat[SPREAD], splat[NARROW] = xy / xx, math.sqrt(determinant / xx), 1 / xx
    splat[REACH], splat[HEIGHT], splat[TOP_X] = reach, height, xy / yy * height


@inline_jit
def color_channel(sh0, shN, i, channel, bands, basis):
    """SH(direction) + 0.5 before it is clamped at 0."""
    value = np.float32(0.5) + basis[0] * sh0[i, 0, channel]
    for k in range(1, bands):
        value += basis[k] * shN[i, k - 1, channel]
    return value


@kernel
def project(means, quats, log_scales, logit_opacities, sh0, shN, degree, view, splats, pairs, tickets):
    """Fill `splats` and the number of tiles each Gaussian enters (0: not drawn)."""
    count = means.shape[0]
    bands = (degree + 1) * (degree + 1)
    basis, scales, odds = np.empty(25, np.float32), np.empty(3 * BLOCK, np.float32), np.empty(BLOCK, np.float32)
    zero = np.float32(0)
    while True:
        start = take_ticket(tickets) * BLOCK
        if start >= count:
            break
        stop = min(start + BLOCK, count)
        fill_scales_and_odds(log_scales, logit_opacities, start, stop, scales, odds)
        for i in range(start, stop):
            splat = splats[i]
            pairs[i] = 0
            if is_finite(log_scales, logit_opacities, i):
                opacity = 1 / (1 + float(odds[i - start]))
                pairs[i] = project_one(means, quats, i, scales_of(scales, i - start), opacity, view, splat)
            if pairs[i] > 0:
                x, y, z, _ = view_direction(means, i, view)
                fill_basis(degree, x, y, z, basis)
                splat[RED] = max(zero, color_channel(sh0, shN, i, 0, bands, basis))
                splat[GREEN] = max(zero, color_channel(sh0, shN, i, 1, bands, basis))
                splat[BLUE] = max(zero, color_channel(sh0, shN, i, 2, bands, basis))


@inline_jit
def fill_scales_and_odds(log_scales, logit_opacities, start, stop, scales, odds):
    """Linear scales, and exp(-logit) = 1 / opacity - 1, of a block: sixteen at a time."""
    fill_exponentials(log_scales.reshape(-1), 3 * start, 3 * stop, np.float32(1), scales)
    fill_exponentials(logit_opacities, start, stop, np.float32(-1), odds)


@inline_jit
def scales_of(scales, n):
    return float(scales[3 * n]), float(scales[3 * n + 1]), float(scales[3 * n + 2])


@inline_jit
def is_finite(log_scales, logit_opacities, i):
    """What the exponentials would hide."""
    return abs(log_scales[i, 0] + log_scales[i, 1] + log_scales[i, 2] + logit_opacities[i]) < np.float32(1e30)
