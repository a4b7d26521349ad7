"""What a reader hands back: the Gaussians, how the file was laid out, and what was found in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gaussian_lens_app.formats.ply_header import Header
from gaussian_lens_app.scene import Camera, Gaussians


@dataclass(frozen=True)
class Finding:
    """Something about a file its user should know."""

    kind: str
    """A short fixed word for programs: non-finite, zero-quaternion, absurd-scale, extra-element, ..."""
    count: int
    sentence: str

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True, eq=False)
class Layout:
    """What is needed to write a file back the way it came."""

    header: Header
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Per Gaussian: extra properties, and standard ones whose type float32 cannot hold exactly."""
    before: bytes = b""
    """Elements in front of the vertices, as they stood."""
    after: bytes = b""
    """Elements behind the vertices, as they stood."""
    extra: tuple[str, ...] = ()
    """Properties of the vertices that a Gaussian has no field for."""


@dataclass(frozen=True, eq=False)
class SceneFile:
    """A scene as it was read."""

    gaussians: Gaussians
    layout: Layout | None
    """None for formats that are not written back the way they came."""
    findings: tuple[Finding, ...]
    path: Path
    format: str = "INRIA PLY"
    """Name of the format, as in the table FORMATS."""
    cameras: tuple[tuple[str, Camera], ...] = ()
    """(name, camera) pairs that the file itself states; there are no photos to them."""
