"""Gradients of pairs -> gradients of the stored parameters, in one pass per Gaussian."""

from __future__ import annotations

import numpy as np

from gaussian_lens_app.raster.numba_kernels.jit import inline_jit, kernel
from gaussian_lens_app.raster.numba_kernels.lanes import load, splat, store, take_ticket
from gaussian_lens_app.raster.numba_kernels.layout import (
    ABS_X,
    ABS_Y,
    COMPENSATE,
    EPS2D,
    FX,
    FY,
    GRAD,
    MAX_X,
    MAX_Y,
    MIN_X,
    MIN_Y,
    RED,
    S_X,
    S_XX,
    S_XY,
    S_Y,
    S_YY,
    V_DEPTH,
    V_RED,
    S,
)
from gaussian_lens_app.raster.numba_kernels.projection import (
    clamp,
    covariance,
    cross,
    dot,
    fill_scales_and_odds,
    jacobian_rows,
    projected_axes,
    rotation_columns,
    scales_of,
    to_camera,
    unit_quat,
    view_direction,
)
from gaussian_lens_app.raster.numba_kernels.sh import fill_basis, fill_slopes

BLOCK = 512


@kernel
def project_grad(
    means, quats, log_scales, logit_opacities, shN, degree, view,
    splats, pairs, slots, tile_of, trainable, per_slot,
    v_means, v_quats, v_log_scales, v_logit_opacities, v_sh0, v_shN, v_probe, tickets,
):  # fmt: skip
    """Fill the v_ arrays; `v_shN` and `v_probe` only where they have rows."""
    count = means.shape[0]
    basis, slopes, sums = np.empty(25, np.float32), np.empty((25, 3), np.float32), np.empty(GRAD, np.float32)
    scales, odds = np.empty(3 * BLOCK, np.float32), np.empty(BLOCK, np.float32)
    flat_slots = per_slot.reshape(-1)
    while True:
        start = take_ticket(tickets) * BLOCK
        if start >= count:
            break
        stop = min(start + BLOCK, count)
        fill_scales_and_odds(log_scales, logit_opacities, start, stop, scales, odds)
        for i in range(start, stop):
            v_means[i], v_quats[i], v_log_scales[i], v_logit_opacities[i], v_sh0[i] = 0, 0, 0, 0, 0
            if v_shN.shape[0] > 0:
                v_shN[i] = 0
            if v_probe.shape[0] > 0:
                v_probe[i] = 0
            if pairs[i] == 0 or not trainable[i]:
                continue
            summed = splat(0.0)
            for slot in range(slots[i], slots[i] + pairs[i]):
                if tile_of[slot] >= 0:
                    summed = summed + load(flat_slots, slot * GRAD)
            store(sums, 0, summed)
            n = i - start
            opacity = 1 / (1 + float(odds[n]))
            shape_grad(means, quats, i, scales_of(scales, n), opacity, view, sums,
                       v_means, v_quats, v_log_scales, v_logit_opacities, v_probe)  # fmt: skip
            color_grad(means, shN, degree, i, view, splats[i], sums, basis, slopes, v_means, v_sh0, v_shN)


@inline_jit
def scaled(a, factor):
    return a[0] * factor, a[1] * factor, a[2] * factor


@inline_jit
def added(a, b):
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


@inline_jit
def shape_grad(
    means, quats, i, scales, opacity, view, sums,
    v_means, v_quats, v_log_scales, v_logit_opacities, v_probe,
):  # fmt: skip
    """Gradients through the 2D ellipse: centre, covariance, compensated opacity, depth."""
    x, y, z = to_camera(means, i, view)
    u, v = clamp(x / z, view[MIN_X], view[MAX_X]), clamp(y / z, view[MIN_Y], view[MAX_Y])
    w, qx, qy, qz, norm = unit_quat(quats, i)
    columns = rotation_columns(w, qx, qy, qz)
    row_x, row_y = jacobian_rows(u, v, z, view)
    axes_x, axes_y = projected_axes(row_x, row_y, columns, scales)
    xx, xy, yy, sharp, blurred = covariance(axes_x, axes_y, view[EPS2D])

    # Centre: d(log alpha)/d(centre) = conic @ d.
    ca, cb, cc = yy / blurred, -xy / blurred, xx / blurred
    v_px, v_py = ca * sums[S_X] + cb * sums[S_Y], cb * sums[S_X] + cc * sums[S_Y]
    if v_probe.shape[0] > 0:
        v_probe[i, 0], v_probe[i, 1], v_probe[i, 2], v_probe[i, 3] = v_px, v_py, sums[ABS_X], sums[ABS_Y]

    # Covariance: d(log alpha) = 1/2 (conic d)(conic d)^T : d(covariance); the off-diagonal stands for both.
    m0, m1 = ca * sums[S_XX] + cb * sums[S_XY], ca * sums[S_XY] + cb * sums[S_YY]
    m2, m3 = cb * sums[S_XX] + cc * sums[S_XY], cb * sums[S_XY] + cc * sums[S_YY]
    v_xx, v_xy, v_yy = 0.5 * (m0 * ca + m1 * cb), m0 * cb + m1 * cc, 0.5 * (m2 * cb + m3 * cc)

    # Opacity: d(log o)/d(logit) = 1 - o; the compensation is sqrt(sharp / blurred).
    v_logit_opacities[i] = sums[S] * (1 - opacity)
    v_axes_x, v_axes_y = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
    if view[COMPENSATE] > 0:
        v_blurred = -0.5 * sums[S] / blurred
        v_xx, v_yy = v_xx + v_blurred * view[EPS2D], v_yy + v_blurred * view[EPS2D]
        # blurred = sharp + ..., and sharp = |normal|^2: both meet in the normal.
        v_normal = scaled(cross(axes_x, axes_y), 2 * (0.5 * sums[S] / sharp + v_blurred))
        v_axes_x, v_axes_y = cross(axes_y, v_normal), cross(v_normal, axes_x)
    v_axes_x = added(v_axes_x, added(scaled(axes_x, 2 * v_xx), scaled(axes_y, v_xy)))
    v_axes_y = added(v_axes_y, added(scaled(axes_y, 2 * v_yy), scaled(axes_x, v_xy)))

    scale_and_quat_grad(
        row_x, row_y, columns, scales, v_axes_x, v_axes_y, w, qx, qy, qz, norm, i, v_quats, v_log_scales
    )

    # Jacobian rows = (f / z) (rotation row - u * rotation's third row).
    v_row_x, v_row_y = rows_grad(columns, scales, v_axes_x), rows_grad(columns, scales, v_axes_y)
    fx, fy = view[FX] / z, view[FY] / z
    third = view[6], view[7], view[8]
    v_u, v_v = -fx * dot(v_row_x, third), -fy * dot(v_row_y, third)
    v_z = sums[V_DEPTH] - (dot(v_row_x, row_x) + dot(v_row_y, row_y)) / z
    v_z -= (v_px * fx * x + v_py * fy * y) / z
    v_x, v_y = v_px * fx, v_py * fy
    if view[MIN_X] <= x / z <= view[MAX_X]:
        v_x, v_z = v_x + v_u / z, v_z - v_u * x / (z * z)
    if view[MIN_Y] <= y / z <= view[MAX_Y]:
        v_y, v_z = v_y + v_v / z, v_z - v_v * y / (z * z)
    for n in range(3):
        v_means[i, n] = view[n] * v_x + view[3 + n] * v_y + view[6 + n] * v_z


@inline_jit
def rows_grad(columns, scales, v_axes):
    """Gradient to a Jacobian row from that of its projected axes."""
    first, second, third = (
        scaled(columns[0], v_axes[0] * scales[0]),
        scaled(columns[1], v_axes[1] * scales[1]),
        scaled(columns[2], v_axes[2] * scales[2]),
    )
    return added(first, added(second, third))


@inline_jit
def scale_and_quat_grad(
    row_x, row_y, columns, scales, v_axes_x, v_axes_y, w, x, y, z, norm, i, v_quats, v_log_scales
):  # fmt: skip
    """Gradients to log scales and to the unnormalised quaternion from those of the projected axes."""
    a = added(scaled(row_x, v_axes_x[0] * scales[0]), scaled(row_y, v_axes_y[0] * scales[0]))
    b = added(scaled(row_x, v_axes_x[1] * scales[1]), scaled(row_y, v_axes_y[1] * scales[1]))
    c = added(scaled(row_x, v_axes_x[2] * scales[2]), scaled(row_y, v_axes_y[2] * scales[2]))
    # a, b, c: gradients to the rotation's columns; a column times its own gradient is the gradient to log scale.
    v_log_scales[i, 0], v_log_scales[i, 1], v_log_scales[i, 2] = (
        dot(a, columns[0]),
        dot(b, columns[1]),
        dot(c, columns[2]),
    )
    v_w = 2 * (x * (b[2] - c[1]) + y * (c[0] - a[2]) + z * (a[1] - b[0]))
    v_x = 2 * (-2 * x * (b[1] + c[2]) + y * (a[1] + b[0]) + z * (a[2] + c[0]) + w * (b[2] - c[1]))
    v_y = 2 * (x * (a[1] + b[0]) - 2 * y * (a[0] + c[2]) + z * (b[2] + c[1]) + w * (c[0] - a[2]))
    v_z = 2 * (x * (a[2] + c[0]) + y * (b[2] + c[1]) - 2 * z * (a[0] + b[1]) + w * (a[1] - b[0]))
    along = v_w * w + v_x * x + v_y * y + v_z * z
    v_quats[i, 0], v_quats[i, 1] = (v_w - along * w) / norm, (v_x - along * x) / norm
    v_quats[i, 2], v_quats[i, 3] = (v_y - along * y) / norm, (v_z - along * z) / norm


@inline_jit
def color_grad(means, shN, degree, i, view, drawn, sums, basis, slopes, v_means, v_sh0, v_shN):
    """Gradients to the harmonics, and through the viewing direction to the centre; a colour clamped at 0 has none."""
    x, y, z, distance = view_direction(means, i, view)
    fill_basis(degree, x, y, z, basis)
    bands = (degree + 1) * (degree + 1)
    red = sums[V_RED] if drawn[RED] > 0 else np.float32(0)
    green = sums[V_RED + 1] if drawn[RED + 1] > 0 else np.float32(0)
    blue = sums[V_RED + 2] if drawn[RED + 2] > 0 else np.float32(0)
    v_sh0[i, 0, 0], v_sh0[i, 0, 1], v_sh0[i, 0, 2] = basis[0] * red, basis[0] * green, basis[0] * blue
    if degree == 0:
        return
    if v_shN.shape[0] > 0:
        for k in range(1, bands):
            v_shN[i, k - 1, 0], v_shN[i, k - 1, 1], v_shN[i, k - 1, 2] = (
                basis[k] * red,
                basis[k] * green,
                basis[k] * blue,
            )
    fill_slopes(degree, x, y, z, slopes)
    v_x, v_y, v_z = 0.0, 0.0, 0.0
    for k in range(1, bands):
        value = red * shN[i, k - 1, 0] + green * shN[i, k - 1, 1] + blue * shN[i, k - 1, 2]
        v_x += value * slopes[k, 0]
        v_y += value * slopes[k, 1]
        v_z += value * slopes[k, 2]
    along = v_x * x + v_y * y + v_z * z
    v_means[i, 0] += (v_x - along * x) / distance
    v_means[i, 1] += (v_y - along * y) / distance
    v_means[i, 2] += (v_z - along * z) / distance
