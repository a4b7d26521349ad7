"""How the scene is shown: nothing here changes it, and nothing here is exported."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from jaxtyping import Float

from gaussian_lens_app.scene import Kind


class Picture(Enum):
    """What is drawn."""

    RGB = "Colour"
    DEPTH = "Depth"
    ALPHA = "Opacity"
    ELLIPSOIDS = "Ellipsoids"
    COUNT = "Splat count"


class Marks(Enum):
    """What makes the marks on what is too coarse."""

    DETAIL = "Finer structure"
    """Photos have more fine structure there than the scene."""
    GRADIENT = "Pull of the photos"
    """The photos' error would shrink if splats moved there: the score Generative Densification chooses by."""


@dataclass(frozen=True)
class Looks:
    """One way of showing the scene."""

    picture: Picture = Picture.RGB
    before: bool = False
    """The scene without any upgrade."""
    split: float | None = None
    """Before to the left of this share of the width, after to the right; None: no split."""
    tint_selection: bool = True
    tint_kinds: bool = False
    """Colour each splat by where it comes from."""
    hidden_kinds: frozenset[Kind] = frozenset()
    missing: bool = False
    """Colour what the photos show finer than the splats do."""
    marks: Marks = Marks.DETAIL
    """By what."""
    photo: int | None = None
    """Index of the photo laid over the picture, where the camera stands at it."""
    photo_opacity: float = 0.5
    sh_degree: int | None = None
    """Highest band of the colours; None: all there are."""
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def plain(self) -> bool:
        """Whether marks, overlays and comparisons are off."""
        return not (self.missing or self.tint_kinds or self.before or self.split is not None or self.photo is not None)


@dataclass(frozen=True, eq=False)
class Pose:
    """A view: where the camera is, what it looks at, which way is up in the picture."""

    position: Float[np.ndarray, "3"]
    look_at: Float[np.ndarray, "3"]
    up: Float[np.ndarray, "3"]
    fov: float
    """Vertical, radians."""
    name: str = ""


def turned_up(up: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    """The next of the six axis directions, starting from the one nearest to `up`: one click turns the scene."""
    axes = np.array([[0, -1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, -1], [-1, 0, 0]], dtype=float)
    return axes[(int(np.argmax(axes @ np.asarray(up, dtype=float))) + 1) % len(axes)]
