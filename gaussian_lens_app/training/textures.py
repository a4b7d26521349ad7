"""Pictures for the surfaces of procedural scenes: glyphs, stripes, checkers, bricks, noise, pieces of photos."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

SIZE = 512
"""Texels a side; textures repeat beyond their edges."""

Texture = UInt8[np.ndarray, "512 512 3"]


def random_texture(rng: np.random.Generator, photos: Sequence[UInt8[np.ndarray, "H W 3"]] = ()) -> Texture:
    """One texture of a random kind, with energy at the scale of single texels; half are pieces of the photos given."""
    if photos and rng.random() < 0.5:
        return photo_piece(rng, photos[int(rng.integers(len(photos)))])
    kinds: tuple[Callable[[np.random.Generator], Texture], ...] = (glyphs, stripes, checkers, bricks, noise)
    return kinds[int(rng.integers(len(kinds)))](rng)


def glyphs(rng: np.random.Generator) -> Texture:
    """A sheet of text in one or two sizes, dark on light or light on dark."""
    ink, paper = two_colours(rng)
    image = Image.new("RGB", (SIZE, SIZE), tuple(paper))
    draw = ImageDraw.Draw(image)
    letters = string.ascii_letters + string.digits + "  .,:;!?&%"
    y = 2
    while y < SIZE:
        size = int(rng.choice([9, 12, 16, 24, 48]))
        line = "".join(letters[i] for i in rng.integers(len(letters), size=SIZE * 2 // size))
        draw.text((int(rng.integers(0, 8)), y), line, fill=tuple(ink), font=ImageFont.load_default(size))
        y += int(size * rng.uniform(1.1, 1.6))
    return np.asarray(image)


def stripes(rng: np.random.Generator) -> Texture:
    """Parallel bands of 2 to 24 texels at any angle, hard or soft."""
    v, u = np.mgrid[0:SIZE, 0:SIZE]
    angle = rng.uniform(0, np.pi)
    wave = np.sin((u * np.cos(angle) + v * np.sin(angle)) * np.pi / rng.uniform(2, 24))
    return mixed(rng, np.clip(wave * rng.choice([1.0, 20.0]), -1, 1) / 2 + 0.5)


def checkers(rng: np.random.Generator) -> Texture:
    """Squares of 3 to 40 texels."""
    v, u = np.mgrid[0:SIZE, 0:SIZE] // int(rng.integers(3, 40))
    return mixed(rng, ((u + v) % 2).astype(float))


def bricks(rng: np.random.Generator) -> Texture:
    """Rows of bricks, each in its own shade, with mortar and grain."""
    height, width = int(rng.integers(10, 40)), int(rng.integers(20, 90))
    v, u = np.mgrid[0:SIZE, 0:SIZE]
    row = v // height
    shifted = u + (row % 2) * (width // 2)
    shades = rng.random((SIZE // height + 2, SIZE // width + 3))
    shade = 0.35 + 0.5 * shades[row, shifted // width] + 0.15 * octaves(rng, 6)
    joint = max(1, height // 9)
    mortar = (v % height < joint) | (shifted % width < joint)
    return mixed(rng, np.where(mortar, rng.choice([0.0, 1.0]), shade))


def noise(rng: np.random.Generator) -> Texture:
    """Several octaves of random values, each channel partly its own."""
    common = octaves(rng, 8)
    channels = [0.7 * common + 0.3 * octaves(rng, 7) for _ in range(3)]
    low, high = np.sort(rng.uniform(0, 1, (2, 3)), axis=0)
    return to_bytes(low + np.stack(channels, -1) * (high - low + 0.3))


def photo_piece(rng: np.random.Generator, photo: UInt8[np.ndarray, "H W 3"]) -> Texture:
    """A square of a photo, enlarged or reduced at most twice, its edges mirrored so that it repeats."""
    side = int(rng.integers(SIZE // 4, min(SIZE, *photo.shape[:2])))
    y, x = (int(rng.integers(0, extent - side + 1)) for extent in photo.shape[:2])
    piece = Image.fromarray(photo[y : y + side, x : x + side]).resize((SIZE // 2, SIZE // 2), Image.Resampling.LANCZOS)
    piece = np.asarray(piece)
    tiled = np.concatenate([piece, piece[::-1]])
    return np.ascontiguousarray(np.concatenate([tiled, tiled[:, ::-1]], 1))


def octaves(rng: np.random.Generator, count: int) -> np.ndarray:
    """(SIZE, SIZE) values in 0..1: random grids of 4, 8, 16... cells enlarged and added, finer ones weaker."""
    total, decay = np.zeros((SIZE, SIZE)), rng.uniform(0.55, 1.0)
    for octave in range(count):
        cells = min(SIZE, 4 << octave)
        grid = Image.fromarray(rng.random((cells, cells)).astype(np.float32))
        total += np.asarray(grid.resize((SIZE, SIZE), Image.Resampling.BILINEAR)) * decay**octave
    return (total - total.min()) / (total.max() - total.min() + 1e-9)


def mixed(rng: np.random.Generator, pattern: np.ndarray) -> Texture:
    """A pattern in 0..1 between two random colours."""
    first, second = (colour / 255 for colour in two_colours(rng))
    return to_bytes(first + pattern[..., None] * (second - first))


def two_colours(rng: np.random.Generator) -> np.ndarray:
    """Two colours that differ visibly, in 0..255."""
    while True:
        colours = rng.integers(0, 256, (2, 3))
        if np.abs(colours[0] - colours[1]).sum() > 150:
            return colours


def to_bytes(values: np.ndarray) -> Texture:
    return (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)
