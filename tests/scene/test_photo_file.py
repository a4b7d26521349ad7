"""Pictures of every kind are 8-bit RGB once they are read, or one sentence."""

import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from gaussian_lens_app.errors import CaptureError
from gaussian_lens_app.scene import Camera, Photo
from gaussian_lens_app.scene.photo_file import read_pixels

SIZE = (6, 4)
RED = (200, 50, 30)


def grey(mode: str, value: int) -> Image.Image:
    return Image.new(mode, SIZE, value)


def sixteen_bit(order: str) -> Image.Image:
    return Image.fromarray(np.full(SIZE[::-1], 40000, np.dtype(np.uint16).newbyteorder(order)))


@pytest.mark.parametrize(
    ("name", "image", "expected"),
    [
        ("colour.png", Image.new("RGB", SIZE, RED), RED),
        ("with-alpha.png", Image.new("RGBA", SIZE, (*RED, 0)), RED),
        ("palette.png", Image.new("RGB", SIZE, RED).quantize(4), RED),
        ("printed.tif", Image.new("RGB", SIZE, RED).convert("CMYK"), RED),
        ("printed.jpg", Image.new("RGB", SIZE, RED).convert("CMYK"), RED),
        ("grey.png", grey("L", 99), (99, 99, 99)),
        ("grey-with-alpha.png", Image.new("LA", SIZE, (99, 50)), (99, 99, 99)),
        ("one-bit.png", grey("1", 1), (255, 255, 255)),
        ("sixteen-bit.png", sixteen_bit("<"), (156, 156, 156)),
        ("sixteen-bit.tif", sixteen_bit("<"), (156, 156, 156)),
        ("sixteen-bit-big-endian.tif", sixteen_bit(">"), (156, 156, 156)),
    ],
)
def test_every_kind_of_picture_becomes_rgb(tmp_path, name, image, expected):
    image.save(tmp_path / name)
    pixels = read_pixels(tmp_path / name)
    assert (pixels.shape, pixels.dtype) == ((4, 6, 3), np.uint8)
    assert np.abs(pixels.astype(int) - expected).max() <= 1


def test_a_palette_with_alpha_is_read_without_a_warning(tmp_path):
    image = Image.new("RGB", SIZE, RED).quantize(4)
    image.save(tmp_path / "palette.png", transparency=b"\x10\x20\x30\x40")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tuple(read_pixels(tmp_path / "palette.png")[0, 0]) == RED


def test_of_an_animation_the_first_picture_is_taken(tmp_path):
    second = Image.new("RGB", SIZE, (0, 0, 255))
    Image.new("RGB", SIZE, RED).save(tmp_path / "a.webp", save_all=True, append_images=[second], lossless=True)
    assert tuple(read_pixels(tmp_path / "a.webp")[0, 0]) == RED


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_numbers_whose_white_nobody_states_are_refused(tmp_path, dtype):
    Image.fromarray(np.ones(SIZE[::-1], dtype)).save(tmp_path / "raw.tif")
    with pytest.raises(CaptureError, match=r"raw\.tif .*save it with 8 or 16 bits"):
        read_pixels(tmp_path / "raw.tif")


def test_a_picture_of_absurd_size_is_refused(tmp_path, monkeypatch):
    Image.new("RGB", SIZE, RED).save(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4)
    with pytest.raises(CaptureError, match=r"huge\.png cannot be read"):
        read_pixels(tmp_path / "huge.png")


def test_a_photo_of_grey_and_alpha_has_three_channels(tmp_path):
    Image.new("LA", SIZE, (99, 50)).save(tmp_path / "grey.png")
    camera = Camera(torch.eye(4), torch.tensor([[8.0, 0, 3], [0, 8, 2], [0, 0, 1]]), *SIZE)
    assert tuple(Photo("grey.png", camera, tmp_path / "grey.png").load().shape) == (4, 6, 3)
