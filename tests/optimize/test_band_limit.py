"""Band-limiting moves the 2D filter of small photos into the Gaussians themselves."""

import dataclasses

import torch

from gaussian_lens_app.optimize.band_limit import band_limited
from gaussian_lens_app.raster import ANTIALIASED, CLASSIC
from gaussian_lens_app.raster.cpu import CpuRasterizer
from gaussian_lens_app.scene import Gaussians
from tests.scenes import board, camera_at

RASTERIZER = CpuRasterizer()
WIDE = ANTIALIASED.scaled(4)
CAMERA = camera_at(0.0)


def _picture(scene: Gaussians, mode) -> torch.Tensor:
    with torch.no_grad():
        return RASTERIZER.render(scene, CAMERA, mode=mode).rgb


def _needles() -> Gaussians:
    """A board whose Gaussians are far thinner than a pixel along one axis."""
    scene = board(RASTERIZER).scene
    factors = torch.tensor([1.0, 0.05, 1.0]).log()
    return dataclasses.replace(scene, log_scales=scene.log_scales + factors)


def test_the_plain_picture_of_a_band_limited_scene_is_the_filtered_picture_of_the_old_one():
    scene = _needles()
    wanted = _picture(scene, WIDE)
    limited = band_limited(scene, [CAMERA], RASTERIZER, WIDE)
    error = (_picture(limited, ANTIALIASED) - wanted).norm() / wanted.norm()
    untouched = (_picture(scene, ANTIALIASED) - wanted).norm() / wanted.norm()
    assert error < 0.03
    assert error < untouched / 3


def test_a_band_limited_scene_looks_nearly_the_same_in_viewers_without_antialiasing():
    scene = _needles()
    limited = band_limited(scene, [CAMERA], RASTERIZER, WIDE)
    difference = lambda one: (_picture(one, CLASSIC) - _picture(one, ANTIALIASED)).norm()  # noqa: E731
    assert difference(limited) < difference(scene) / 3


def test_colours_places_and_order_stay():
    scene = _needles()
    limited = band_limited(scene, [CAMERA], RASTERIZER, WIDE)
    for name in ("means", "quats", "sh0", "shN"):
        assert torch.equal(getattr(limited, name), getattr(scene, name))


def test_what_no_camera_sees_keeps_its_bits():
    scene = board(RASTERIZER).scene
    hidden = dataclasses.replace(scene, means=scene.means - 100 * CAMERA.forward)
    limited = band_limited(Gaussians.concat([scene, hidden]), [CAMERA], RASTERIZER, WIDE)
    behind = limited.take(torch.arange(len(scene), 2 * len(scene)))
    for (_, new), (_, old) in zip(behind.tensors(), hidden.tensors(), strict=True):
        assert torch.equal(new, old)


def test_a_mode_no_wider_than_the_plain_one_changes_nothing():
    scene = board(RASTERIZER).scene
    assert band_limited(scene, [CAMERA], RASTERIZER, CLASSIC) is scene
