"""Structural similarity (Wang et al. 2004) of 11x11 Gaussian windows, sigma 1.5, with its gradient.

The CPU path is numba: separable blurs over the rows of an (H, W, 3) image, channels interleaved (a horizontal tap is
three floats away), so that no transpose is needed and every inner loop runs over one contiguous row. `ssim_map_torch`
says the same in six lines, serves CUDA, and is the judge of the kernel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.raster.numba_kernels import threads
from gaussian_lens_app.raster.numba_kernels.jit import inline_jit, kernel
from gaussian_lens_app.raster.numba_kernels.lanes import take_ticket

RADIUS = 5
_taps = np.exp(-(np.arange(-RADIUS, RADIUS + 1) ** 2) / (2 * 1.5**2))
TAPS = (_taps / _taps.sum()).astype(np.float32)
C1 = np.float32(0.01**2)
C2 = np.float32(0.03**2)
ONE, TWO = np.float32(1), np.float32(2)
next_row: Any = take_ticket  # numba adds an argument of its own, which pyright would miss


def ssim_map(image: Float[Tensor, "H W 3"], other: Float[Tensor, "H W 3"]) -> Float[Tensor, "H W 3"]:
    """SSIM at every pixel; beyond the border both images are 0. No gradients (see `l1_ssim_and_gradient`)."""
    if image.device.type != "cpu":
        return ssim_map_torch(image, other)
    x, y = _rows(image), _rows(other)
    values = np.empty_like(x)
    threads.run(_values, _blurred_moments(x, y), values)
    return torch.from_numpy(values).view(image.shape)


def l1_ssim_and_gradient(
    image: Float[Tensor, "H W 3"],
    other: Float[Tensor, "H W 3"],
    l1_weight: float,
    ssim_weight: float,
    weights: Float[Tensor, "H W"] | None = None,
) -> tuple[Tensor, Float[Tensor, "H W 3"]]:
    """(sum over pixels and channels of weights * (l1_weight * |difference| + ssim_weight * SSIM), its derivative)."""
    if image.device.type != "cpu":
        with torch.enable_grad():
            leaf = image.detach().requires_grad_()
            values = l1_weight * (leaf - other).abs() + ssim_weight * ssim_map_torch(leaf, other)
            total = (values if weights is None else values * weights[..., None]).sum()
            return total.detach(), torch.autograd.grad(total, leaf)[0]
    x, y = _rows(image), _rows(other)
    factors = np.ones((1, 1), np.float32) if weights is None else _rows(weights)
    slopes, gradient, sums = np.empty((3, *x.shape), np.float32), np.empty_like(x), np.empty((2, len(x)))
    threads.run(_slopes, _blurred_moments(x, y), factors, weights is not None, slopes, sums[0])
    mix = np.array([l1_weight, ssim_weight], np.float32)
    threads.run(_pulled_back, slopes, x, y, factors, weights is not None, mix, gradient, sums[1])
    total = ssim_weight * sums[0].sum() + l1_weight * sums[1].sum()
    return torch.tensor(total, dtype=torch.float32), torch.from_numpy(gradient).view(image.shape)


def ssim_map_torch(image: Float[Tensor, "H W 3"], other: Float[Tensor, "H W 3"]) -> Float[Tensor, "H W 3"]:
    """The same map in plain torch, differentiable, any dtype and device."""
    window = torch.as_tensor(TAPS, dtype=image.dtype, device=image.device)
    window = torch.outer(window, window).expand(3, 1, -1, -1)
    x, y = (picture.permute(2, 0, 1)[None] for picture in (image, other))
    mx, my, xx, yy, xy = (F.conv2d(p, window, padding=RADIUS, groups=3) for p in (x, y, x * x, y * y, x * y))
    c1, c2 = float(C1), float(C2)
    near, structure = 2 * mx * my + c1, 2 * (xy - mx * my) + c2
    value = near * structure / ((mx * mx + my * my + c1) * (xx - mx * mx + yy - my * my + c2))
    return value[0].permute(1, 2, 0)


def _rows(image: Tensor) -> np.ndarray:
    """(H, W * channels) float32 view or copy."""
    return np.ascontiguousarray(image.detach().float().numpy()).reshape(image.shape[0], -1)


def _blurred_moments(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Horizontally blurred x, y, xx, yy, xy: (5, H, W3)."""
    moments = np.empty((5, *x.shape), np.float32)
    threads.run(_moments, x, y, moments)
    return moments


@inline_jit
def _add_scaled(out, row, factor):
    for j in range(out.shape[0]):
        out[j] += factor * row[j]


@inline_jit
def _blur_along(row, padded, out):
    """Horizontal blur of one interleaved row; `padded` is scratch with 3 * RADIUS zeros on either side."""
    n = row.shape[0]
    padded[3 * RADIUS : 3 * RADIUS + n] = row
    out[:] = 0
    for k in range(2 * RADIUS + 1):
        _add_scaled(out, padded[3 * k : 3 * k + n], TAPS[k])


@inline_jit
def _blur_across(plane, r, out):
    """Row `r` of the vertical blur of `plane`."""
    out[:] = 0
    for k in range(max(0, RADIUS - r), min(2 * RADIUS + 1, plane.shape[0] - r + RADIUS)):
        _add_scaled(out, plane[r + k - RADIUS], TAPS[k])


@kernel
def _moments(x, y, moments, tickets):
    height, n = x.shape
    padded = np.zeros(n + 6 * RADIUS, np.float32)
    r = next_row(tickets)
    while r < height:
        _blur_along(x[r], padded, moments[0, r])
        _blur_along(y[r], padded, moments[1, r])
        _blur_along(x[r] * x[r], padded, moments[2, r])
        _blur_along(y[r] * y[r], padded, moments[3, r])
        _blur_along(x[r] * y[r], padded, moments[4, r])
        r = next_row(tickets)


@kernel
def _values(moments, values, tickets):
    _, height, n = moments.shape
    m = np.empty((5, n), np.float32)
    r = next_row(tickets)
    while r < height:
        for q in range(5):
            _blur_across(moments[q], r, m[q])
        row = values[r]
        for j in range(n):
            mx, my = m[0, j], m[1, j]
            top = (TWO * mx * my + C1) * (TWO * (m[4, j] - mx * my) + C2)
            row[j] = top / ((mx * mx + my * my + C1) * (m[2, j] - mx * mx + m[3, j] - my * my + C2))
        r = next_row(tickets)


@kernel
def _slopes(moments, weights, weighted, slopes, sums, tickets):
    """Derivatives of weight * SSIM to the blurred x, xx and xy, and each row's weighted sum of SSIM."""
    _, height, n = moments.shape
    m = np.empty((5, n), np.float32)
    value = np.empty(n, np.float32)
    r = next_row(tickets)
    while r < height:
        for q in range(5):
            _blur_across(moments[q], r, m[q])
        _slopes_of_row(m, value, slopes[0, r], slopes[1, r], slopes[2, r])
        if weighted:
            _weigh(weights[r], value, slopes[0, r], slopes[1, r], slopes[2, r])
        sums[r] = value.sum()
        r = next_row(tickets)


@inline_jit
def _slopes_of_row(m, value, to_mean, to_square, to_product):
    for j in range(value.shape[0]):
        mx, my = m[0, j], m[1, j]
        near = TWO * mx * my + C1
        structure = TWO * (m[4, j] - mx * my) + C2
        spread = ONE / (mx * mx + my * my + C1)
        energy = ONE / (m[2, j] - mx * mx + m[3, j] - my * my + C2)
        s = near * structure * spread * energy
        value[j] = s
        to_mean[j] = TWO * (my * (structure - near) * spread * energy - s * mx * (spread - energy))
        to_square[j] = -s * energy
        to_product[j] = TWO * near * spread * energy


@inline_jit
def _weigh(weights, value, to_mean, to_square, to_product):
    """One weight a pixel, three channels a pixel."""
    for j in range(value.shape[0]):
        w = weights[j // 3]
        value[j] *= w
        to_mean[j] *= w
        to_square[j] *= w
        to_product[j] *= w


@kernel
def _pulled_back(slopes, x, y, weights, weighted, mix, gradient, sums, tickets):
    """Derivative to x, and each row's weighted sum of |x - y|.

    SSIM's part is blur(to_mean) + 2 x blur(to_square) + y blur(to_product): the window is symmetric.
    """
    height, n = x.shape
    padded = np.zeros(n + 6 * RADIUS, np.float32)
    rows = np.empty((3, n), np.float32)
    across, sign, size = np.empty(n, np.float32), np.empty(n, np.float32), np.empty(n, np.float32)
    r = next_row(tickets)
    while r < height:
        for q in range(3):
            _blur_across(slopes[q], r, across)
            _blur_along(across, padded, rows[q])
        _difference(x[r], y[r], sign, size)
        if weighted:
            for j in range(n):
                sign[j] *= weights[r, j // 3]
                size[j] *= weights[r, j // 3]
        out = gradient[r]
        for j in range(n):
            similar = rows[0, j] + TWO * x[r, j] * rows[1, j] + y[r, j] * rows[2, j]
            out[j] = mix[0] * sign[j] + mix[1] * similar
        sums[r] = size.sum()
        r = next_row(tickets)


@inline_jit
def _difference(x, y, sign, size):
    for j in range(x.shape[0]):
        d = x[j] - y[j]
        size[j] = abs(d)
        sign[j] = np.float32(d > 0) - np.float32(d < 0)
