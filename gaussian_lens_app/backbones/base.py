"""What a feed-forward backbone is: photos with cameras in, a low-resolution scene and tokens out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.formats import load
from gaussian_lens_app.jobs.report import Report
from gaussian_lens_app.scene import Gaussians, Photo


@dataclass(frozen=True, eq=False)
class Scaffold:
    """What a backbone makes of photos; SR3R goes on from it."""

    gaussians: Gaussians
    tokens: Float[Tensor, "V N C"] | None = None
    """What the backbone knows of each photo's patches; None: SR3R encodes the scene's own renders in their place."""
    notes: tuple[str, ...] = ()
    """What the user should know, in sentences."""


class Backbone(Protocol):
    """One way from photos to a scene."""

    @property
    def name(self) -> str: ...

    def __call__(self, photos: Sequence[Photo], report: Report) -> Scaffold:
        """The scene of these photos. Raises CaptureError or FileError with a sentence when it cannot."""
        ...


@dataclass(frozen=True, eq=False)
class SceneAtHand:
    """The scene that is open: what SR3R starts from unless told otherwise."""

    scene: Gaussians
    name: str = "scene"

    def __call__(self, photos: Sequence[Photo], report: Report) -> Scaffold:
        return Scaffold(self.scene)


@dataclass(frozen=True, eq=False)
class SavedScene:
    """A scene that another program wrote: DepthSplat, MVSplat, NoPoSplat (formats/feed_forward.py), or any format."""

    path: Path
    name: str = "file"

    def __call__(self, photos: Sequence[Photo], report: Report) -> Scaffold:
        report(f"Reading {self.path.name}", 0.0)
        file = load(self.path)
        return Scaffold(file.gaussians, notes=tuple(finding.sentence for finding in file.findings))
