"""What the user dragged (Box) and what it means in the scene and its photos (Region)."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.scene.camera import Camera, Rect


@dataclass(frozen=True, eq=False)
class Box:
    """A rectangle in pixels of a camera."""

    camera: Camera
    rect: Rect


@dataclass(frozen=True, eq=False)
class PhotoView:
    """How one photo sees a region."""

    photo: int
    """Index into the capture's photos."""
    rect: Rect
    """Bounding window of the mask in the photo."""
    mask: Bool[Tensor, "h w"]
    """Which pixels of `rect` show the region."""
    overlap: float
    """Share of the region (by contribution) that this photo sees, 0..1."""
    resolution: float
    """Photo pixels per unit of world length at the region, seen face on: larger shows more detail."""
    cosine: float
    """Cosine of the angle between this photo's and the box camera's view of the region."""
    score: float
    """What the ranking uses; larger is better."""


@dataclass(frozen=True, eq=False)
class Region:
    """The Gaussians behind a box and the photos that see them, best first."""

    selected: Bool[Tensor, "N"]
    contributions: Float[Tensor, "N"]
    """Blending weight of each Gaussian inside the box, in pixels of the selection's stated resolution."""
    views: tuple[PhotoView, ...] = ()

    @property
    def count(self) -> int:
        return int(self.selected.sum())
