"""A photo's file as pixels, whatever kind of picture it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from gaussian_lens_app.errors import CaptureError

BROKEN = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)
"""What Pillow raises on damaged pictures (SyntaxError on some PNGs), and on those too large to be photos."""
_SIXTEEN_BIT = ("PNG", "PPM")
"""Formats whose 16 bits Pillow may hand over in 32 (mode I)."""


def read_pixels(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    """8-bit RGB, alpha left out; of several pictures in a file the first. CaptureError with a sentence."""
    try:
        with Image.open(path) as image:
            return _rgb(image, path)
    except BROKEN as error:
        raise _unreadable(path, error) from error


def read_small(path: Path, size: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
    """About what `read_pixels` gives, made that small (height, width): for looking at, not for measuring.

    JPEGs are decoded at an eighth of their size where that is enough, which takes a fraction of the time and memory.
    """
    height, width = size
    try:
        with Image.open(path) as image:
            image.draft(None, (2 * width, 2 * height))
            pixels = Image.fromarray(_rgb(image, path))
    except BROKEN as error:
        raise _unreadable(path, error) from error
    return np.array(pixels.resize((width, height), Image.Resampling.BOX))


def _unreadable(path: Path, error: Exception) -> CaptureError:
    return CaptureError(f"Photo {path} cannot be read ({error}): restore it or leave it out.")


def _rgb(image: Image.Image, path: Path) -> np.ndarray:
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in _SIXTEEN_BIT):
        grey = (np.asarray(image).astype(np.float32) / 65535 * 255 + 0.5).astype(np.uint8)
        return np.repeat(grey[..., None], 3, 2)
    if image.mode in ("I", "F"):  # Pillow would cut them off at 255
        raise CaptureError(f"Photo {path} has 32-bit pixels, whose white is not known: save it with 8 or 16 bits.")
    if image.mode == "P":  # on the straight way Pillow warns of what becomes of its alpha
        image = image.convert("RGBA")
    return np.array(image.convert("RGB"))
