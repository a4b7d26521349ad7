"""What packed formats share: arrays to fill, activations undone, quaternions as their three smallest components."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from gaussian_lens_app.errors import BadFile
from gaussian_lens_app.formats.checks import usable
from gaussian_lens_app.formats.limits import BLOCK
from gaussian_lens_app.formats.values import Finding, SceneFile
from gaussian_lens_app.scene import Gaussians

CLOSEST = 1e-6
"""Opacities are kept this far from 0 and 1, whose logits are infinite."""
SMALLEST_LOG_SCALE = -80.0
"""A linear scale of zero is read as this, which float32 can still take the exponential of."""


class Arrays(NamedTuple):
    """The fields of Gaussians, as numpy, to be filled block by block."""

    means: np.ndarray
    quats: np.ndarray
    log_scales: np.ndarray
    logit_opacities: np.ndarray
    sh0: np.ndarray
    shN: np.ndarray

    def gaussians(self) -> Gaussians:
        return Gaussians(*map(torch.from_numpy, self))


def new_arrays(count: int, degree: int) -> Arrays:
    bands = (degree + 1) ** 2 - 1
    shapes = [(count, 3), (count, 4), (count, 3), (count,), (count, 1, 3), (count, bands, 3)]
    return Arrays(*(np.empty(shape, np.float32) for shape in shapes))


def arrays_of(g: Gaussians) -> Arrays:
    """The scene's own memory."""
    return Arrays(*(tensor.detach().cpu().numpy() for _, tensor in g.tensors()))


def blocks(count: int) -> Iterator[slice]:
    return (slice(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK))


def scene_file(g: Gaussians, path: Path, format: str, findings: tuple[Finding, ...] = ()) -> SceneFile:
    """What a reader hands back, without the rows that are no Gaussians."""
    keep, dropped = usable(g)
    if not keep.any():
        raise BadFile(f"{path.name} holds no usable Gaussian: {' '.join(f.sentence for f in dropped)}")
    return SceneFile(g if keep.all() else g.take(keep), None, (*dropped, *findings), path, format)


def logit(opacities: np.ndarray) -> np.ndarray:
    p = np.clip(opacities.astype(np.float64), CLOSEST, 1 - CLOSEST)
    return np.log(p / (1 - p))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.tanh(0.5 * logits.astype(np.float64))


def log_scale(scales: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.maximum(np.log(scales.astype(np.float64)), SMALLEST_LOG_SCALE)


def to_byte(values: np.ndarray) -> np.ndarray:
    """Rounded to 0..255."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def normalized(quats: np.ndarray) -> np.ndarray:
    quats = quats.astype(np.float64)
    return quats / np.maximum(np.linalg.norm(quats, axis=1, keepdims=True), 1e-30)


def smallest_three(quats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) index of the largest component, (N, 3) the others in order, signs such that the largest is positive."""
    quats = normalized(quats)
    which = np.abs(quats).argmax(1)
    quats = np.where(np.take_along_axis(quats, which[:, None], 1) < 0, -quats, quats)
    return which, quats[np.arange(4) != which[:, None]].reshape(-1, 3)


def from_smallest_three(which: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """(N, 4) unit quaternions."""
    quats = np.empty((len(which), 4))
    others = np.arange(4) != which[:, None]
    quats[others] = rest.ravel()
    quats[~others] = np.sqrt(np.maximum(0.0, 1.0 - (rest**2).sum(1)))
    return quats


def morton_order(means: np.ndarray) -> np.ndarray:
    """Rows sorted along a Z-order curve of 1024 cells a side, so that neighbours in file are neighbours in space."""
    low, high = means.min(0).astype(np.float64), means.max(0).astype(np.float64)
    cells = ((means - low) / np.maximum(high - low, 1e-30) * 1023).astype(np.uint32)
    code = np.zeros(len(means), np.uint32)
    for axis in range(3):
        code |= _spread(cells[:, axis]) << axis
    return np.argsort(code, kind="stable")


def _spread(x: np.ndarray) -> np.ndarray:
    """Ten bits with two zeros between each and the next."""
    for shift, mask in ((16, 0x030000FF), (8, 0x0300F00F), (4, 0x030C30C3), (2, 0x09249249)):
        x = (x | (x << np.uint32(shift))) & np.uint32(mask)
    return x
