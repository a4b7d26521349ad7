"""Decoded photos are kept by their bytes, not by their number."""

import imageio.v3 as iio
import numpy as np
import pytest
import torch

from gaussian_lens_app.errors import CaptureError
from gaussian_lens_app.scene import Camera, Photo
from gaussian_lens_app.scene.capture import DECODED
from gaussian_lens_app.scene.kept_pixels import KeptPixels


def pixels(rows: int) -> torch.Tensor:
    """Of 30 bytes a row."""
    return torch.zeros(rows, 10, 3, dtype=torch.uint8)


def test_pictures_are_kept_up_to_the_bytes_allowed_and_those_asked_for_last_stay():
    kept, read = KeptPixels(100), []

    def ask(name: str, rows: int = 1) -> None:
        kept.get(name, lambda: read.append(name) or pixels(rows))

    for name in ("a", "b", "c", "a", "d"):
        ask(name)
    assert (read, kept.nbytes) == (["a", "b", "c", "d"], 90)
    ask("a")
    assert read == ["a", "b", "c", "d"]
    ask("b")
    assert read == ["a", "b", "c", "d", "b"]


def test_one_picture_larger_than_all_that_is_allowed_is_kept_alone():
    kept, large = KeptPixels(100), pixels(10)
    kept.get("small", lambda: pixels(1))
    assert kept.get("large", lambda: large) is large
    assert kept.nbytes == 300
    assert kept.get("large", lambda: pixels(1)) is large


@pytest.fixture
def photo(tmp_path) -> Photo:
    """A file with a smooth picture."""
    x, y = np.meshgrid(np.linspace(0, 255, 800), np.linspace(0, 255, 600))
    iio.imwrite(tmp_path / "a.jpg", np.stack([x, y, 255 - x], -1).astype(np.uint8), quality=95)
    K = torch.tensor([[500.0, 0, 400], [0, 500, 300], [0, 0, 1]])
    return Photo("a.jpg", Camera(torch.eye(4), K, 800, 600), tmp_path / "a.jpg")


def test_a_thumbnail_looks_like_the_photo_and_no_large_picture_is_kept_for_it(photo):
    before = DECODED.nbytes
    thumbnail = photo.thumbnail(120)
    assert DECODED.nbytes == before
    exact = photo.with_long_side(120).load()
    assert (thumbnail.shape, thumbnail.dtype) == (exact.shape, torch.uint8)
    assert float((thumbnail.float() - exact.float()).abs().max()) < 6


def test_a_thumbnail_is_never_larger_than_the_photo_and_can_be_made_of_pixels(photo):
    assert tuple(photo.thumbnail(2000).shape) == (600, 800, 3)
    ready = Photo("a", photo.camera, photo.load())
    assert torch.equal(ready.thumbnail(120), ready.with_long_side(120).load())


def test_a_thumbnail_of_a_file_that_is_gone_or_broken_is_an_error_in_a_sentence(photo):
    photo.source.write_bytes(b"no picture")
    with pytest.raises(CaptureError, match=r"a\.jpg cannot be read"):
        photo.thumbnail(120)
    photo.source.unlink()
    with pytest.raises(CaptureError, match=r"a\.jpg is gone"):
        photo.thumbnail(120)
