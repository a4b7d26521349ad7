"""Spherical harmonics and their derivatives for one direction; the polynomials of raster/sh.py."""

from __future__ import annotations

from gaussian_lens_app.raster.numba_kernels.jit import inline_jit
from gaussian_lens_app.raster.sh import C0, C1, C2, C3, C4

C20, C21, C22 = C2
C30, C31, C32, C33, C34 = C3
C40, C41, C42, C43, C44, C45, C46 = C4


@inline_jit
def fill_basis(degree, x, y, z, out):
    """Write the (degree + 1)^2 basis values at a unit direction into `out`."""
    out[0] = C0
    if degree >= 1:
        out[1], out[2], out[3] = -C1 * y, C1 * z, -C1 * x
    xx, yy, zz = x * x, y * y, z * z
    if degree >= 2:
        out[4], out[5], out[6] = C20 * x * y, -C20 * y * z, C21 * (2 * zz - xx - yy)
        out[7], out[8] = -C20 * x * z, C22 * (xx - yy)
    if degree >= 3:
        out[9], out[10], out[11] = -C30 * y * (3 * xx - yy), C31 * x * y * z, -C32 * y * (4 * zz - xx - yy)
        out[12], out[13] = C33 * z * (2 * zz - 3 * xx - 3 * yy), -C32 * x * (4 * zz - xx - yy)
        out[14], out[15] = C34 * z * (xx - yy), -C30 * x * (xx - 3 * yy)
    if degree >= 4:
        out[16], out[17] = C40 * x * y * (xx - yy), -C41 * y * z * (3 * xx - yy)
        out[18], out[19] = C42 * x * y * (7 * zz - 1), -C43 * y * z * (7 * zz - 3)
        out[20], out[21] = C44 * (zz * (35 * zz - 30) + 3), -C43 * x * z * (7 * zz - 3)
        out[22], out[23] = C45 * (xx - yy) * (7 * zz - 1), -C41 * x * z * (xx - 3 * yy)
        out[24] = C46 * (xx * (xx - 3 * yy) - yy * (3 * xx - yy))


@inline_jit
def _put(out, k, dx, dy, dz):
    out[k, 0], out[k, 1], out[k, 2] = dx, dy, dz


@inline_jit
def fill_slopes(degree, x, y, z, out):
    """Write d(basis)/d(x, y, z) of the polynomials into rows of `out` (K, 3)."""
    _put(out, 0, 0.0, 0.0, 0.0)
    xx, yy, zz = x * x, y * y, z * z
    if degree >= 1:
        _put(out, 1, 0.0, -C1, 0.0)
        _put(out, 2, 0.0, 0.0, C1)
        _put(out, 3, -C1, 0.0, 0.0)
    if degree >= 2:
        _put(out, 4, C20 * y, C20 * x, 0.0)
        _put(out, 5, 0.0, -C20 * z, -C20 * y)
        _put(out, 6, -2 * C21 * x, -2 * C21 * y, 4 * C21 * z)
        _put(out, 7, -C20 * z, 0.0, -C20 * x)
        _put(out, 8, 2 * C22 * x, -2 * C22 * y, 0.0)
    if degree >= 3:
        _put(out, 9, -6 * C30 * x * y, -3 * C30 * (xx - yy), 0.0)
        _put(out, 10, C31 * y * z, C31 * x * z, C31 * x * y)
        _put(out, 11, 2 * C32 * x * y, -C32 * (4 * zz - xx - 3 * yy), -8 * C32 * y * z)
        _put(out, 12, -6 * C33 * x * z, -6 * C33 * y * z, 3 * C33 * (2 * zz - xx - yy))
        _put(out, 13, -C32 * (4 * zz - 3 * xx - yy), 2 * C32 * x * y, -8 * C32 * x * z)
        _put(out, 14, 2 * C34 * x * z, -2 * C34 * y * z, C34 * (xx - yy))
        _put(out, 15, -3 * C30 * (xx - yy), 6 * C30 * x * y, 0.0)
    if degree >= 4:
        _put(out, 16, C40 * y * (3 * xx - yy), C40 * x * (xx - 3 * yy), 0.0)
        _put(out, 17, -6 * C41 * x * y * z, -3 * C41 * z * (xx - yy), -C41 * y * (3 * xx - yy))
        _put(out, 18, C42 * y * (7 * zz - 1), C42 * x * (7 * zz - 1), 14 * C42 * x * y * z)
        _put(out, 19, 0.0, -C43 * z * (7 * zz - 3), -C43 * y * (21 * zz - 3))
        _put(out, 20, 0.0, 0.0, C44 * z * (140 * zz - 60))
        _put(out, 21, -C43 * z * (7 * zz - 3), 0.0, -C43 * x * (21 * zz - 3))
        _put(out, 22, 2 * C45 * x * (7 * zz - 1), -2 * C45 * y * (7 * zz - 1), 14 * C45 * z * (xx - yy))
        _put(out, 23, -3 * C41 * z * (xx - yy), 6 * C41 * x * y * z, -C41 * x * (xx - 3 * yy))
        _put(out, 24, 4 * C46 * x * (xx - 3 * yy), 4 * C46 * y * (yy - 3 * xx), 0.0)
