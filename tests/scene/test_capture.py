import dataclasses

import imageio.v3 as iio
import pytest
import torch

from gaussian_lens_app.errors import CaptureError
from gaussian_lens_app.scene import Camera, Capture, Photo


def camera(width: int = 8, height: int = 6) -> Camera:
    return Camera(torch.eye(4), torch.tensor([[8.0, 0, 4], [0, 8, 3], [0, 0, 1]]), width, height)


def photo(name: str = "a.png", **changes) -> Photo:
    pixels = torch.arange(8 * 6 * 3, dtype=torch.uint8).reshape(6, 8, 3)
    return dataclasses.replace(Photo(name, camera(), pixels), **changes)


def test_a_photo_is_read_when_asked_for_and_again_after_it_changed(tmp_path):
    path = tmp_path / "a.png"
    lazy = Photo("a.png", camera(), path)
    for value in (10, 20):
        iio.imwrite(path, torch.full((6, 8, 3), value, dtype=torch.uint8).numpy())
        assert int(lazy.load()[0, 0, 0]) == value
        assert int(lazy.with_long_side(4).load()[0, 0, 0]) == value


@pytest.mark.parametrize("long_side", [5, 4, 3])
def test_a_small_version_is_the_same_from_a_file_as_from_pixels_each_time(tmp_path, long_side):
    iio.imwrite(tmp_path / "a.png", photo().load().numpy())
    lazy, ready = (one.with_long_side(long_side) for one in (Photo("a.png", camera(), tmp_path / "a.png"), photo()))
    for _ in range(2):
        assert torch.equal(lazy.load(), ready.load())


def test_a_photo_of_another_size_than_its_camera_is_named_in_the_error():
    with pytest.raises(CaptureError, match=r"a\.png is 8x6 pixels but its camera says 9x6"):
        photo(camera=camera(width=9)).load()


def test_a_photo_that_vanished_is_named_in_the_error(tmp_path):
    with pytest.raises(CaptureError, match=r"gone\.png is gone"):
        Photo("gone.png", camera(), tmp_path / "gone.png").load()


def test_a_file_that_is_no_image_is_named_in_the_error(tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"not an image")
    with pytest.raises(CaptureError, match=r"bad\.jpg cannot be read"):
        Photo("bad.jpg", camera(), tmp_path / "bad.jpg").load()


def test_shrinking_a_photo_averages_areas_and_scales_its_camera():
    flat = photo(source=torch.full((6, 8, 3), 77, dtype=torch.uint8))
    small = flat.with_long_side(4)
    assert tuple(small.load().shape) == (3, 4, 3)
    assert int(small.load().min()) == int(small.load().max()) == 77
    assert small.camera.K[0, 0] == 4
    assert flat.with_long_side(100) is flat


def test_crop_is_that_window_in_zero_to_one():
    window = photo().crop((2, 1, 5, 4))
    torch.testing.assert_close(window, photo().load()[1:4, 2:5].float() / 255)


def test_the_holdout_splits_by_index():
    capture = Capture(tuple(photo(f"{i:02}.png") for i in range(20)))
    context, test = capture.split((8, 4))
    assert [p.name for p in test.photos] == ["04.png", "12.png"]
    assert len(context) == 18


def test_a_photo_is_found_by_name_or_stem_and_a_wrong_name_lists_some():
    capture = Capture((photo("sub/a.png"), photo("b.png")))
    assert capture.named("a").name == "sub/a.png"
    with pytest.raises(CaptureError, match=r"no photo 'c'.*sub/a\.png"):
        capture.named("c")
