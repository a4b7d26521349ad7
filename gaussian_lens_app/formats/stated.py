"""Photos whose cameras the scene's own file states, as feed-forward programs write them into a PLY."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gaussian_lens_app.errors import CaptureError
from gaussian_lens_app.formats.lens import Lens
from gaussian_lens_app.formats.shots import PHOTO_SUFFIXES, Shot, Shots
from gaussian_lens_app.scene import Camera


def photos_at(path: Path) -> list[Path]:
    """The photo itself, or those of a folder or of its images/, sorted by name."""
    if path.is_file():
        return [path] if path.suffix.lower() in PHOTO_SUFFIXES else []
    for folder in (path, path / "images"):
        found = [p for p in folder.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES] if folder.is_dir() else []
        if found:
            return sorted(found)
    return []


def shots_of(photos: Sequence[Path], cameras: Sequence[tuple[str, Camera]]) -> Shots:
    """Each photo with the camera of its turn. CaptureError when there are not as many of both."""
    if len(photos) != len(cameras):
        raise CaptureError(
            f"The scene's file states {len(cameras)} cameras, but there are {len(photos)} photos at "
            f"{photos[0].parent}: give exactly the photos that it was made from."
        )
    pairs = zip(photos, cameras, strict=True)
    shots = tuple(
        Shot(photo.name, camera.viewmat.double().numpy(), _lens(camera), (photo,)) for photo, (_, camera) in pairs
    )
    note = "The photos' cameras were taken from the scene's file, in the order of the photos' names."
    return Shots(shots, None, photos[0].parent, (note,) if len(photos) > 1 else ())


def _lens(camera: Camera) -> Lens:
    fx, fy, cx, cy = (float(camera.K[i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    return Lens("PINHOLE", camera.width, camera.height, (fx, fy, cx, cy))
