"""Photos with their cameras: what the scene is measured against."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from gaussian_lens_app.errors import CaptureError
from gaussian_lens_app.scene.camera import Camera, Rect
from gaussian_lens_app.scene.kept_pixels import KeptPixels
from gaussian_lens_app.scene.photo_file import read_pixels, read_small


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo that is read when its pixels are asked for."""

    name: str
    camera: Camera
    source: Path | UInt8[Tensor, "H W 3"]
    """The file, or the pixels themselves."""
    resize: bool = False
    """True when `camera` is smaller or larger than the source: pixels are area-averaged to the camera's size."""

    def load(self) -> UInt8[Tensor, "H W 3"]:
        """The pixels at the camera's size."""
        wanted = (self.camera.height, self.camera.width)
        if isinstance(self.source, Path) and self.resize and wanted[0] * wanted[1] <= SMALL:
            return _reduced(self.source, _modified(self.source), wanted)
        pixels = self.source if isinstance(self.source, Tensor) else _decoded(self.source, _modified(self.source))
        if tuple(pixels.shape[:2]) == wanted:
            return pixels
        if not self.resize:
            raise CaptureError(
                f"Photo {self.name} is {pixels.shape[1]}x{pixels.shape[0]} pixels but its camera says "
                f"{wanted[1]}x{wanted[0]}: use the photos the cameras were made from."
            )
        return _area_resized(pixels, wanted)

    def crop(self, rect: Rect) -> Float[Tensor, "h w 3"]:
        """A window of the photo as float in 0..1."""
        x0, y0, x1, y1 = rect
        return self.load()[y0:y1, x0:x1].float() / 255

    def thumbnail(self, long_side: int) -> UInt8[Tensor, "h w 3"]:
        """About the pixels of `with_long_side`, to look at: sooner there, and the photo itself is not kept."""
        small = self.with_long_side(long_side)
        if isinstance(self.source, Tensor):
            return small.load()
        return _glanced(self.source, _modified(self.source), (small.camera.height, small.camera.width))

    def with_long_side(self, pixels: int) -> Photo:
        """The photo at most `pixels` long (never enlarged)."""
        if max(self.camera.width, self.camera.height) <= pixels:
            return self
        return dataclasses.replace(self, camera=self.camera.with_long_side(pixels), resize=True)


@dataclass(frozen=True, eq=False)
class SparsePoints:
    """Points of a structure-from-motion model."""

    positions: Float[Tensor, "P 3"]
    colors: UInt8[Tensor, "P 3"]


@dataclass(frozen=True, eq=False)
class Capture:
    """Photos sorted by name, and the sparse points where the capture has them."""

    photos: tuple[Photo, ...]
    points: SparsePoints | None = None
    root: Path | None = None
    notes: tuple[str, ...] = ()
    """What the reader wants the user to know: photos that were missing, distorted, skipped."""
    windows_only: bool = False
    """True where the scene at hand is cut out of a larger one: it draws the windows on its region, not whole photos."""

    def __len__(self) -> int:
        return len(self.photos)

    def named(self, name: str) -> Photo:
        """The photo of that file name, with or without suffix."""
        for photo in self.photos:
            if name in (photo.name, Path(photo.name).name, Path(photo.name).stem):
                return photo
        known = ", ".join(photo.name for photo in self.photos[:8])
        raise CaptureError(f"There is no photo {name!r} in the capture; it has {known}{', ...' * (len(self) > 8)}.")

    def only(self, indices: list[int]) -> Capture:
        return dataclasses.replace(self, photos=tuple(self.photos[i] for i in indices))

    def with_long_side(self, pixels: int) -> Capture:
        return dataclasses.replace(self, photos=tuple(photo.with_long_side(pixels) for photo in self.photos))

    def split(self, holdout: tuple[int, int]) -> tuple[Capture, Capture]:
        """(context, test): with holdout (8, 4) photos with index % 8 == 4 are test photos."""
        every, offset = holdout
        test = [i for i in range(len(self)) if i % every == offset]
        return self.only([i for i in range(len(self)) if i % every != offset]), self.only(test)


SMALL = 400 * 400
"""Photos of no more pixels are kept when they have been made smaller."""


DECODED = KeptPixels(1_000_000_000)
"""Photos as they are: 170 of 1600x1200 pixels, 27 of 12 megapixels."""


def _decoded(path: Path, modified: int) -> Tensor:
    """`modified` makes a rewritten file a new entry."""
    return DECODED.get((path, modified), lambda: torch.from_numpy(read_pixels(path)))


@functools.lru_cache(maxsize=256)
def _glanced(path: Path, modified: int, size: tuple[int, int]) -> Tensor:
    """For looking at; 256 of 120x90 pixels are 8 MB."""
    return torch.from_numpy(read_small(path, size))


@functools.lru_cache(maxsize=256)
def _reduced(path: Path, modified: int, size: tuple[int, int]) -> Tensor:
    """Every box asks for the same small photos again; 256 of the largest are 120 MB."""
    return _area_resized(_decoded(path, modified), size)


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        raise CaptureError(f"Photo {path} is gone: put it back or leave it out of the capture.") from error


def _area_resized(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    planes = pixels.permute(2, 0, 1)[None].float()
    resized = F.interpolate(planes, size, mode="area")[0].permute(1, 2, 0)
    return (resized + 0.5).clamp(0, 255).to(torch.uint8)
