"""What the tests of broken-off exports share: formats, scenes, and which of two scenes stands at a path."""

from __future__ import annotations

from pathlib import Path

import torch

from gaussian_lens_app.formats import load
from gaussian_lens_app.scene import Gaussians

TARGETS = ("a.ply", "a.compressed.ply", "a.splat", "a.spz", "a.sog", "scene/meta.json")
OLD, NEW = 12, 20
"""Gaussians of the scene that stands at the target, and of the one written over it."""


def scene_of(count: int) -> Gaussians:
    random = torch.Generator().manual_seed(count)
    shapes = [(count, 3), (count, 4), (count, 3), (count,), (count, 1, 3), (count, 3, 3)]
    return Gaussians(*(torch.randn(shape, generator=random) for shape in shapes))


def standing(path: Path) -> int:
    """How many Gaussians the file at the target holds; raises when it is no whole file."""
    return len(load(path).gaussians)
