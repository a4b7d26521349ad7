"""Scenes turned, mirrored, scaled and moved: means, rotations, scales and spherical harmonics together."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import torch

from gaussian_lens_app.formats.packing import Arrays
from gaussian_lens_app.raster.sh import sh_basis
from gaussian_lens_app.scene import Gaussians
from gaussian_lens_app.scene.gaussians import rotations

RUB = np.diag([1.0, -1.0, -1.0])
"""Between x right, y up, z backward (glTF, SPZ) and INRIA's x right, y down, z forward; its own inverse."""
_DIRECTIONS = 200


def axes(half_turn: bool, mirror: bool) -> np.ndarray:
    """(3, 3) matrix of a half turn about x, of a mirror in x, or of both."""
    return (RUB if half_turn else np.eye(3)) @ np.diag([-1.0 if mirror else 1.0, 1.0, 1.0])


def swap_rub(arrays: Arrays) -> None:
    """Turn half a circle about x, in place: only signs change."""
    arrays.means[:, 1:] *= -1
    arrays.quats[:, 2:] *= -1
    bands = arrays.shN.shape[1]
    for k, sign in enumerate(_rub_signs()[:bands]):
        if sign < 0:
            arrays.shN[:, k] *= -1


def transformed(g: Gaussians, linear: np.ndarray, offset: np.ndarray | None = None) -> Gaussians:
    """The scene after x -> linear @ x + offset; `linear` is any invertible 3x3 matrix, mirrors included."""
    linear = np.asarray(linear, np.float64)
    size = abs(np.linalg.det(linear)) ** (1 / 3)
    turn = linear / size
    means = g.means.double() @ torch.from_numpy(linear.T)
    if offset is not None:
        means += torch.from_numpy(np.asarray(offset, np.float64))
    if np.allclose(turn @ turn.T, np.eye(3), atol=1e-5):
        principal, log_scales = torch.from_numpy(turn) @ rotations(g.quats.double()), g.log_scales + float(np.log(size))
    else:
        stretched = torch.from_numpy(linear) @ rotations(g.quats.double()) * g.log_scales.double().exp()[:, None]
        principal, scales, _ = torch.linalg.svd(stretched)
        log_scales, turn = scales.log(), _nearest_turn(linear)
    shN = g.shN
    if shN.shape[1]:
        matrix = torch.from_numpy(sh_turn(g.sh_degree, turn)[1:, 1:]).to(shN.dtype)
        shN = torch.einsum("jk,nkc->njc", matrix, shN)
    return dataclasses.replace(
        g,
        means=means.float(),
        quats=quaternions(principal).float(),
        log_scales=log_scales.float(),
        shN=shN.contiguous(),
    )


def sh_turn(degree: int, turn: np.ndarray) -> np.ndarray:
    """(K, K) matrix for the coefficients of a function on the sphere that is turned (or mirrored) as a whole.

    Solved from function values at many directions; entries that should be 0 or 1 are exactly that.
    """
    directions = torch.randn(_DIRECTIONS, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    directions = torch.nn.functional.normalize(directions, dim=1)
    after = sh_basis(degree, directions)
    before = sh_basis(degree, directions @ torch.from_numpy(np.asarray(turn, np.float64)))
    matrix = torch.linalg.lstsq(after, before).solution.numpy()
    whole = np.rint(matrix)
    return np.where(np.abs(matrix - whole) < 1e-9, whole, matrix)


def quaternions(axes: torch.Tensor) -> torch.Tensor:
    """(N, 4) wxyz of orthogonal (N, 3, 3) matrices; a mirrored one stands for the same ellipsoid turned inside out."""
    axes = axes * torch.linalg.det(axes).sign()[:, None, None]
    m = axes.flatten(1).unbind(1)
    # Four times the squares of w, x, y, z; the largest is the safe one to divide by (Shepperd 1978).
    squares = torch.stack(
        [1 + m[0] + m[4] + m[8], 1 + m[0] - m[4] - m[8], 1 - m[0] + m[4] - m[8], 1 - m[0] - m[4] + m[8]], 1
    )
    a, b, c = m[7] - m[5], m[2] - m[6], m[3] - m[1]
    d, e, f = m[3] + m[1], m[2] + m[6], m[7] + m[5]
    rows = torch.stack(
        [torch.stack(row, 1) for row in ((squares[:, 0], a, b, c), (a, squares[:, 1], d, e), (b, d, squares[:, 2], f))]
        + [torch.stack([c, e, f, squares[:, 3]], 1)],
        1,
    )
    best = rows[torch.arange(len(rows)), squares.argmax(1)]
    return torch.nn.functional.normalize(best, dim=1)


@functools.cache
def _rub_signs() -> tuple[int, ...]:
    return tuple(int(s) for s in np.diag(sh_turn(4, RUB))[1:])


def _nearest_turn(linear: np.ndarray) -> np.ndarray:
    u, _, v = np.linalg.svd(linear)
    return u @ v
