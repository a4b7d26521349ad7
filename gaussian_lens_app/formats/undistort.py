"""Photos of distorted lenses, straightened once and kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from gaussian_lens_app.errors import CaptureError, ExportError
from gaussian_lens_app.formats.atomic import write_atomically
from gaussian_lens_app.formats.lens import Lens, colmap_library
from gaussian_lens_app.jobs.report import Report
from gaussian_lens_app.places import cache_folder
from gaussian_lens_app.scene.photo_file import read_pixels

_VERSION = 2
"""Part of the key: raise it when the pixels would come out differently."""


def undistort_all(photos: list[tuple[Path, Lens]], report: Report) -> list[Path]:
    """The straightened photos, in order; only those that are not in the cache yet cost time."""
    found = [cached_path(photo, lens) for photo, lens in photos]
    todo = [(*item, path) for item, path in zip(photos, found, strict=True) if not path.is_file()]
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        jobs = [pool.submit(_undistort, *item) for item in todo]
        try:
            for done, job in enumerate(jobs):
                report(f"undistorting photo {done + 1} of {len(jobs)}", done / len(jobs))
                job.result()
        finally:
            for job in jobs:
                job.cancel()
    return found


def cached_path(photo: Path, lens: Lens) -> Path:
    """The cache's file for a photo seen through a lens: another photo, version of it or lens is another file."""
    state = photo.stat()
    key = repr((_VERSION, str(photo.resolve()), state.st_mtime_ns, state.st_size, lens))
    return cache_folder() / "undistorted" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.png"


def _undistort(photo: Path, lens: Lens, target: Path) -> None:
    pycolmap = colmap_library()
    bitmap = pycolmap.Bitmap.from_array(read_pixels(photo))
    straight, camera = pycolmap.undistort_image(pycolmap.UndistortCameraOptions(), bitmap, lens.colmap())
    assert (camera.width, camera.height) == (straight.width, straight.height)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(target) as file:
            Image.fromarray(straight.to_array()).save(file, format="PNG", compress_level=1)
    except (ExportError, OSError) as error:
        raise CaptureError(
            f"Undistorted photos cannot be kept ({error}). Set XDG_CACHE_HOME to a folder with space."
        ) from error
