import dataclasses

import pytest
import torch
from scenes import board

from gaussian_lens_app.methods.sr3r_views import (
    FACTOR,
    GRADIENT_FACTOR,
    UPSAMPLERS,
    bicubic,
    bilinear,
    enlarged_camera,
    low_mode,
    low_view,
    shrunk,
    shrunk_camera,
)
from gaussian_lens_app.methods.targets import make_target
from gaussian_lens_app.raster import ANTIALIASED
from gaussian_lens_app.raster.cpu import CpuRasterizer
from gaussian_lens_app.scene import PhotoView

RASTERIZER = CpuRasterizer()


@pytest.fixture(scope="module")
def made():
    return board(RASTERIZER, photos=2, width=160)


def window(made, rect):
    mask = torch.zeros(rect[3] - rect[1], rect[2] - rect[0], dtype=torch.bool)
    mask[: mask.shape[0] // 2] = True
    view = PhotoView(0, rect, mask, overlap=1, resolution=1, cosine=1, score=1)
    return make_target(made.scene, made.capture, view, RASTERIZER, ANTIALIASED)


def test_a_small_window_holds_means_of_whole_blocks_and_points_fall_where_they_fell(made):
    low = shrunk(window(made, (13, 10, 70, 61)), FACTOR)
    assert low is not None
    assert low.rect == (4, 3, 17, 15)
    photo = made.capture.photos[0].load().float() / 255
    torch.testing.assert_close(low.photo[0, 0], photo[12:16, 16:20].mean((0, 1)))
    points = torch.randn(20, 3) * 0.3
    large, small = (camera.project(points)[0] for camera in (made.capture.photos[0].camera, low.camera))
    torch.testing.assert_close(large, FACTOR * small, atol=1e-3, rtol=1e-5)


def test_too_small_windows_are_left_out(made):
    assert shrunk(window(made, (10, 10, 15, 60)), FACTOR) is None


@pytest.mark.parametrize("name", UPSAMPLERS)
def test_what_enlarges_a_picture_keeps_what_it_shows_from_afar(made, name):
    picture = made.capture.photos[0].crop((0, 0, 80, 64))
    small = picture.unfold(0, FACTOR, FACTOR).unfold(1, FACTOR, FACTOR).mean((-1, -2))
    large = UPSAMPLERS[name](small, FACTOR)
    assert large.shape == picture.shape
    again = large.unfold(0, FACTOR, FACTOR).unfold(1, FACTOR, FACTOR).mean((-1, -2))
    assert float((again - small).abs().mean()) < 0.03
    assert not large.requires_grad


def test_a_view_keeps_the_photo_at_every_size(made):
    low = shrunk(window(made, (0, 0, 80, 64)), FACTOR)
    assert low is not None
    view = low_view(low, bilinear)
    assert view.enlarged.shape[:2] == (FACTOR * low.photo.shape[0], FACTOR * low.photo.shape[1])
    assert view.high.photo.shape[:2] == view.high.mask.shape
    assert view.high.rect == tuple(GRADIENT_FACTOR * side for side in low.rect)
    assert abs(float(view.high.photo.mean() - low.photo.mean())) < 0.01
    again = enlarged_camera(low.camera, GRADIENT_FACTOR)
    torch.testing.assert_close(again.K, view.high.camera.K)


def test_a_scene_drawn_small_looks_like_the_mean_of_its_large_picture(made):
    """The filter for small pictures is that of the large ones and a pixel's box; the plain one is not."""
    camera = made.capture.photos[0].camera
    large = RASTERIZER.render(made.truth, camera, mode=ANTIALIASED).rgb
    wanted = large.unfold(0, FACTOR, FACTOR).unfold(1, FACTOR, FACTOR).mean((-1, -2))
    small = shrunk_camera(camera, FACTOR)
    errors = [
        float((RASTERIZER.render(made.truth, small, mode=mode).rgb - wanted).square().mean())
        for mode in (low_mode(ANTIALIASED), ANTIALIASED, dataclasses.replace(ANTIALIASED, eps2d=1e-4))
    ]
    assert errors[0] < 0.5 * min(errors[1:])


def test_upsamplers_keep_flat_pictures_and_stay_within_range():
    flat = torch.full((5, 6, 3), 0.25)
    for upsampler in (bicubic, bilinear):
        torch.testing.assert_close(upsampler(flat, 4), torch.full((20, 24, 3), 0.25))
    edge = torch.zeros(6, 6, 3)
    edge[:, 3:] = 1
    assert 0 <= float(bicubic(edge, 4).min()) <= float(bicubic(edge, 4).max()) <= 1
