"""What every capture format states about a photo, before anyone has looked at the photo itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gaussian_lens_app.errors import BadFile, CaptureError
from gaussian_lens_app.formats.lens import Lens
from gaussian_lens_app.scene import SparsePoints
from gaussian_lens_app.scene.photo_file import BROKEN

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True, eq=False)
class Shot:
    """A photo's name, pose and lens, and where its file may be."""

    name: str
    viewmat: np.ndarray
    """(4, 4) float64, world to camera, OpenCV axes."""
    lens: Lens | Callable[[Path], Lens]
    """A function of the photo where the capture leaves the size to it."""
    places: tuple[Path, ...]
    """Best first; suffixes may be missing."""

    def find(self) -> Path | None:
        """The photo's file, None when it is nowhere."""
        return next((found for place in self.places if (found := existing(place))), None)


@dataclass(frozen=True, eq=False)
class Shots:
    """All photos of a capture as one format states them."""

    shots: tuple[Shot, ...]
    points: SparsePoints | None
    source: Path
    """The file or folder with the cameras."""
    notes: tuple[str, ...] = ()


def existing(place: Path) -> Path | None:
    """The file, with the suffix it was given or another photo suffix."""
    try:
        if place.is_file():
            return place
        stems = [place.name] if place.suffix.lower() not in PHOTO_SUFFIXES else [place.name, place.stem]
        tries = (place.with_name(stem + suffix) for stem in stems for s in PHOTO_SUFFIXES for suffix in (s, s.upper()))
        return next((path for path in tries if path.is_file()), None)
    except (OSError, ValueError):  # a name no file can have, such as one with a zero byte
        return None


def holds_photos(folder: Path) -> bool:
    return folder.is_dir() and any(p.suffix.lower() in PHOTO_SUFFIXES for p in folder.iterdir())


def photo_size(path: Path) -> tuple[int, int]:
    """Width and height from the file's header, without decoding."""
    try:
        with Image.open(path) as image:
            return image.size
    except BROKEN as error:
        raise CaptureError(f"Photo {path} cannot be read as a picture: restore it or leave it out.") from error


def rigid(matrix: Any, where: str) -> np.ndarray:
    """(4, 4) pose from 3x4 or 4x4 numbers, its rotation made orthonormal; a uniform scale is taken off."""
    given = matrix_of(matrix, where, "a pose")
    U, s, Vt = np.linalg.svd(given[:3, :3])
    if s[2] < 1e-9 or s[0] / s[2] > 1.01 or np.linalg.det(given[:3, :3]) < 0:
        raise BadFile(f"{where} has a pose whose upper left 3x3 is no rotation: its axes are skewed or mirrored.")
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = U @ Vt, given[:3, 3]
    return pose


def matrix_of(value: Any, where: str, what: str) -> np.ndarray:
    """(3, 4) or (4, 4) finite float64; `what` names the value in the error."""
    try:
        given = np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        given = np.zeros(0)
    if given.shape not in ((3, 4), (4, 4)) or not np.isfinite(given).all():
        raise BadFile(f"{where} has {what} that is no 3x4 or 4x4 matrix of numbers: it is damaged.")
    return given


def some(names: list[str], most: int = 8) -> str:
    """Up to eight names, then how many more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
