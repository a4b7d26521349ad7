"""Where things stand in the flat arrays that the kernels share."""

from __future__ import annotations

import math

import numpy as np

from gaussian_lens_app.raster import base
from gaussian_lens_app.raster.base import RenderMode
from gaussian_lens_app.scene import Camera, Rect

TILE = 16
"""Side of a tile in pixels: one row of it fills one 512-bit register."""
PIXELS = TILE * TILE

SPLAT = 16
"""Floats per projected Gaussian, one cache line:"""
MX, MY, PXX, PXY, PYY, PEAK, RED, GREEN, BLUE, DEPTH, SLOPE, SPREAD, NARROW, REACH, TOP_X, HEIGHT = range(SPLAT)
# MX, MY            centre in pixels of the window
# PXX, PXY, PYY,    log2(alpha) = PXX dx^2 + PXY dx dy + PYY dy^2 + PEAK, so one exp2 gives alpha
# PEAK
# SLOPE, SPREAD,    the ellipse alpha = ALPHA_MIN over a column dx:
# NARROW, REACH     dy = SLOPE dx +- SPREAD sqrt(REACH - NARROW dx^2)
# TOP_X, HEIGHT     its lowest point (largest dy) is at dx = TOP_X, dy = HEIGHT

GRAD = 16
"""Floats per (Gaussian, tile) pair going back, four of them unused. With s = dL/d(log alpha) at a pixel:"""
S_X, S_Y, S_XX, S_XY, S_YY, S, V_RED, V_GREEN, V_BLUE, V_DEPTH, ABS_X, ABS_Y = range(12)
# S_X .. S          sum over pixels of s dx, s dy, s dx^2, s dx dy, s dy^2, s
# V_RED .. V_DEPTH  dL/d(colour), dL/d(depth)
# ABS_X, ABS_Y      sum over pixels of |dL/d(centre)|

MARGIN = 0.01
"""Pixels by which culling errs on the side of keeping; the exact test is made at each pixel."""

VIEW = 28
"""Floats that describe a camera and its window:"""
ROTATION, TRANSLATION, EYE, FX, FY, CX, CY, MIN_X, MAX_X, MIN_Y, MAX_Y, EPS2D, COMPENSATE, WIDTH, HEIGHT_PX = (
    0,
    9,
    12,
    15,
    16,
    17,
    18,
    19,
    20,
    21,
    22,
    23,
    24,
    25,
    26,
)


def pack_view(camera: Camera, window: Rect, mode: RenderMode) -> np.ndarray:
    """The VIEW floats (as doubles): the camera, its Jacobian's limits, the window, the 2D filter."""
    viewmat, K = camera.viewmat.detach().double().cpu().numpy(), camera.K.detach().double().cpu().numpy()
    view = np.zeros(VIEW)
    view[ROTATION : ROTATION + 9] = viewmat[:3, :3].reshape(-1)
    view[TRANSLATION : TRANSLATION + 3] = viewmat[:3, 3]
    view[EYE : EYE + 3] = -viewmat[:3, :3].T @ viewmat[:3, 3]
    view[[FX, FY]] = K[0, 0], K[1, 1]
    view[[CX, CY]] = K[0, 2] - window[0], K[1, 2] - window[1]
    margin_x, margin_y = base.FRUSTUM_MARGIN * camera.width / 2, base.FRUSTUM_MARGIN * camera.height / 2
    view[[MIN_X, MAX_X]] = -(K[0, 2] + margin_x) / K[0, 0], (camera.width - K[0, 2] + margin_x) / K[0, 0]
    view[[MIN_Y, MAX_Y]] = -(K[1, 2] + margin_y) / K[1, 1], (camera.height - K[1, 2] + margin_y) / K[1, 1]
    view[[EPS2D, COMPENSATE]] = mode.eps2d, float(mode.antialiased)
    view[[WIDTH, HEIGHT_PX]] = window[2] - window[0], window[3] - window[1]
    return view


LOG2_ALPHA_MIN = math.log2(base.ALPHA_MIN)
