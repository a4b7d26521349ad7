"""Exact pictures and depths of simple textured solids, by casting rays."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from gaussian_lens_app.raster.numba_kernels.jit import kernel
from gaussian_lens_app.scene import Camera

RECTANGLE, SPHERE, CYLINDER = range(3)
KIND, CENTRE, U, V, A, B, TEXTURE, PERIOD, GLOSS = 0, 1, 4, 7, 10, 11, 12, 13, 14
SUPERSAMPLES = 2
"""Rays a side of a pixel."""


@dataclass(frozen=True, eq=False)
class World:
    """Solids, one row each, with their textures and one distant light."""

    solids: Float[np.ndarray, "P 15"]
    """kind, centre (3), unit vectors u (3) and v (3), half-lengths a and b along them (sphere: radius a; cylinder:
    radius a around v, half-height b), texture, world length of one texture repeat, gloss."""
    textures: UInt8[np.ndarray, "T 512 512 3"]
    light: Float[np.ndarray, "3"]
    """Unit vector towards it."""


def solid(
    kind: int,
    centre: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    a: float,
    b: float,
    texture: int,
    period: float,
    gloss: float = 0.0,
) -> np.ndarray:
    """A row of `World.solids`."""
    return np.concatenate([[kind], centre, u, v, [a, b, texture, period, gloss]]).astype(np.float64)


def photograph(world: World, camera: Camera) -> tuple[Float[Tensor, "h w 3"], Float[Tensor, "h w"]]:
    """(colours averaged over each pixel, z-depth at its centre; 0 where nothing is hit)."""
    rgb = np.zeros((camera.height, camera.width, 3), np.float32)
    depth = np.zeros((camera.height, camera.width), np.float32)
    R = camera.viewmat[:3, :3].double().numpy()
    eye = camera.position.double().numpy()
    K = camera.K.double().numpy()
    intrinsics = np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2]])
    _cast(world.solids, world.textures, world.light, R, eye, intrinsics, rgb, depth)
    return torch.from_numpy(rgb), torch.from_numpy(depth)


@kernel
def _cast(solids, textures, light, R, eye, intrinsics, rgb, depth):
    fx, fy, cx, cy = intrinsics
    colour = np.zeros(3)
    for row in range(depth.shape[0]):
        for column in range(depth.shape[1]):
            for sample in range(SUPERSAMPLES * SUPERSAMPLES + 1):
                # The last ray goes through the centre and counts for depth alone.
                dx = dy = 0.5
                if sample < SUPERSAMPLES * SUPERSAMPLES:
                    dx = (sample % SUPERSAMPLES + 0.5) / SUPERSAMPLES
                    dy = (sample // SUPERSAMPLES + 0.5) / SUPERSAMPLES
                x, y = (column + dx - cx) / fx, (row + dy - cy) / fy
                # Unit z in the camera, so that the ray's parameter is the depth.
                d0 = R[0, 0] * x + R[1, 0] * y + R[2, 0]
                d1 = R[0, 1] * x + R[1, 1] * y + R[2, 1]
                d2 = R[0, 2] * x + R[1, 2] * y + R[2, 2]
                colour[:] = 0
                found = _shade(solids, textures, light, eye[0], eye[1], eye[2], d0, d1, d2, colour)
                if sample == SUPERSAMPLES * SUPERSAMPLES:
                    depth[row, column] = found
                else:
                    for channel in range(3):
                        rgb[row, column, channel] += colour[channel] / (SUPERSAMPLES * SUPERSAMPLES)


@kernel
def _shade(solids, textures, light, px, py, pz, dx, dy, dz, colour):
    """Depth of the nearest hit, 0 for none; fills `colour`."""
    best, nearest, bs, bt = 1e9, -1, 0.0, 0.0
    for i in range(solids.shape[0]):
        hit, s, t = _hit(solids[i], px, py, pz, dx, dy, dz, best)
        if hit < best:
            best, nearest, bs, bt = hit, i, s, t
    if nearest < 0:
        return 0.0
    g = solids[nearest]
    nx, ny, nz = _normal(g, px + best * dx, py + best * dy, pz + best * dz)
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    facing = (nx * dx + ny * dy + nz * dz) / length
    if facing > 0:
        nx, ny, nz, facing = -nx, -ny, -nz, -facing
    cosine = nx * light[0] + ny * light[1] + nz * light[2]
    shade = 0.55 + 0.45 * max(0.0, cosine)
    mirrored = (
        (dx / length - 2 * facing * nx) * light[0]
        + (dy / length - 2 * facing * ny) * light[1]
        + (dz / length - 2 * facing * nz) * light[2]
    )
    shine = g[GLOSS] * max(0.0, mirrored) ** 12
    texture, side = int(g[TEXTURE]), textures.shape[1]
    u, v = bs / g[PERIOD] * side, bt / g[PERIOD] * side
    iu, iv = math.floor(u), math.floor(v)
    fu, fv = u - iu, v - iv
    x0, y0 = int(iu) % side, int(iv) % side
    x1, y1 = (x0 + 1) % side, (y0 + 1) % side
    for c in range(3):
        upper = textures[texture, y0, x0, c] * (1 - fu) + textures[texture, y0, x1, c] * fu
        lower = textures[texture, y1, x0, c] * (1 - fu) + textures[texture, y1, x1, c] * fu
        colour[c] = min(1.0, (upper * (1 - fv) + lower * fv) / 255 * shade + shine)
    return best


@kernel
def _hit(g, px, py, pz, dx, dy, dz, best):
    """(depth, position on the surface in world lengths), depth 1e9 for a miss or one beyond `best`."""
    miss = (1e9, 0.0, 0.0)
    ox, oy, oz = px - g[CENTRE], py - g[CENTRE + 1], pz - g[CENTRE + 2]
    if g[KIND] == RECTANGLE:
        nx = g[U + 1] * g[V + 2] - g[U + 2] * g[V + 1]
        ny = g[U + 2] * g[V] - g[U] * g[V + 2]
        nz = g[U] * g[V + 1] - g[U + 1] * g[V]
        slope = dx * nx + dy * ny + dz * nz
        if abs(slope) < 1e-9:
            return miss
        t = -(ox * nx + oy * ny + oz * nz) / slope
        if t < 0.05 or t >= best:
            return miss
        hx, hy, hz = ox + t * dx, oy + t * dy, oz + t * dz
        s = hx * g[U] + hy * g[U + 1] + hz * g[U + 2]
        r = hx * g[V] + hy * g[V + 1] + hz * g[V + 2]
        if abs(s) > g[A] or abs(r) > g[B]:
            return miss
        return t, s, r
    along_o = along_d = 0.0
    if g[KIND] == CYLINDER:
        along_o = ox * g[V] + oy * g[V + 1] + oz * g[V + 2]
        along_d = dx * g[V] + dy * g[V + 1] + dz * g[V + 2]
    qa = dx * dx + dy * dy + dz * dz - along_d * along_d
    qb = ox * dx + oy * dy + oz * dz - along_o * along_d
    qc = ox * ox + oy * oy + oz * oz - along_o * along_o - g[A] * g[A]
    root = qb * qb - qa * qc
    if root < 0 or qa < 1e-12:
        return miss
    root = math.sqrt(root)
    for sign in (-1.0, 1.0):
        t = (-qb + sign * root) / qa
        if t < 0.05 or t >= best:
            continue
        hx, hy, hz = ox + t * dx, oy + t * dy, oz + t * dz
        v = hx * g[V] + hy * g[V + 1] + hz * g[V + 2]
        if g[KIND] == CYLINDER and abs(v) > g[B]:
            continue
        wx = g[V + 1] * g[U + 2] - g[V + 2] * g[U + 1]
        wy = g[V + 2] * g[U] - g[V] * g[U + 2]
        wz = g[V] * g[U + 1] - g[V + 1] * g[U]
        angle = math.atan2(hx * wx + hy * wy + hz * wz, hx * g[U] + hy * g[U + 1] + hz * g[U + 2])
        if g[KIND] == SPHERE:
            v = g[A] * math.asin(max(-1.0, min(1.0, v / g[A])))
        return t, angle * g[A], v
    return miss


@kernel
def _normal(g, x, y, z):
    if g[KIND] == RECTANGLE:
        return (
            g[U + 1] * g[V + 2] - g[U + 2] * g[V + 1],
            g[U + 2] * g[V] - g[U] * g[V + 2],
            g[U] * g[V + 1] - g[U + 1] * g[V],
        )
    x, y, z = x - g[CENTRE], y - g[CENTRE + 1], z - g[CENTRE + 2]
    if g[KIND] == CYLINDER:
        along = x * g[V] + y * g[V + 1] + z * g[V + 2]
        x, y, z = x - along * g[V], y - along * g[V + 1], z - along * g[V + 2]
    return x / g[A], y / g[A], z / g[A]
