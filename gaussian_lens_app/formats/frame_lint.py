"""Whether a scene is mirrored or turned against the cameras it belongs to: it is tried."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.formats.frame import LARGEST_GAP, gap_to, opaque_sample
from gaussian_lens_app.scene import Camera, Capture, Gaussians

_BETTER = 0.5
"""Turned, the scene must lie at most this share as far away; symmetric scenes fit about as well either way."""
_BLIND, _SEEING = 0.05, 0.5
"""Shares of the scene within cameras' frames, without and with the turn."""
_SAMPLE = 500


def find_frame(
    g: Gaussians, capture: Capture | None, cameras: Sequence[tuple[str, Camera]] = ()
) -> tuple[str, np.ndarray, str] | None:
    """(kind, matrix that mends it, words) when another choice of axes fits and the scene's own does not."""
    if capture is not None and capture.points is not None and len(capture.points.positions) >= 100:
        return _by_points(g, capture.points.positions)
    known = [photo.camera for photo in capture.photos] if capture is not None else [camera for _, camera in cameras]
    return _by_cameras(g, known) if known else None


def candidates() -> list[np.ndarray]:
    """The 47 other choices of axes, handed ones first, then those that change least."""
    found = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[range(3), order] = signs
            found.append(matrix)
    found.sort(key=lambda m: (np.linalg.det(m) < 0, -np.trace(m)))
    return found[1:]


def describe_axes(matrix: np.ndarray) -> tuple[str, str]:
    """(kind, words) of the mistake that `matrix` mends."""
    mirrored = np.linalg.det(matrix) < 0
    if np.array_equal(matrix, np.diag([1.0, -1, -1])):
        return "upside-down", "upside down (y up where it should be down)"
    axes = ", ".join(("" if row.sum() > 0 else "-") + "xyz"[int(np.abs(row).argmax())] for row in matrix)
    if mirrored:
        return "mirrored", f"mirrored (its {axes} should be x, y, z)"
    return "turned", f"turned (its {axes} should be x, y, z)"


def _by_points(g: Gaussians, points: Float[Tensor, "P 3"]) -> tuple[str, np.ndarray, str] | None:
    means = opaque_sample(g, 4 * _SAMPLE)
    now = gap_to(points, means, _SAMPLE)
    if now <= LARGEST_GAP:
        return None
    gaps = [(gap_to(points, means @ torch.from_numpy(m.T).float(), _SAMPLE), m) for m in candidates()]
    gap, matrix = min(gaps, key=lambda pair: pair[0])
    if gap > LARGEST_GAP or gap > _BETTER * now:
        return None
    kind, words = describe_axes(matrix)
    return kind, matrix, words


def _by_cameras(g: Gaussians, cameras: Sequence[Camera]) -> tuple[str, np.ndarray, str] | None:
    means = opaque_sample(g, _SAMPLE)

    def seen(matrix: np.ndarray) -> float:
        points = means @ torch.from_numpy(matrix.T).float()
        shares = []
        for camera in cameras[:50]:
            shares.append(camera.frames(points)[0].float().mean())
        return float(torch.stack(shares).mean())

    if seen(np.eye(3)) > _BLIND:
        return None
    # One camera cannot tell a mirrored scene from a turned one; the half turn of y-up files is what happens.
    matrix = np.diag([1.0, -1.0, -1.0])
    if seen(matrix) < _SEEING:
        return None
    kind, words = describe_axes(matrix)
    return kind, matrix, words
