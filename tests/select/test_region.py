import pytest
import torch

from gaussian_lens_app.errors import CaptureError
from gaussian_lens_app.raster import ANTIALIASED
from gaussian_lens_app.raster.reference import ReferenceRasterizer
from gaussian_lens_app.scene import Box, Capture, Gaussians
from gaussian_lens_app.select import SelectSettings, select_region
from gaussian_lens_app.select.region import box_contributions
from tests.scenes import Board, board, camera_at

RASTERIZER = ReferenceRasterizer()
MIDDLE = (40, 30, 80, 60)


@pytest.fixture(scope="module")
def small() -> Board:
    return board(RASTERIZER, fine=24, coarse=12, photos=4, width=120)


def on_board(scene: Gaussians) -> torch.Tensor:
    return scene.means[:, 2] < 0.5


def test_the_box_selects_what_is_seen_in_it_and_not_the_wall_behind(small):
    region = select_region(small.scene, Box(camera_at(0, width=120), MIDDLE), None, RASTERIZER)
    assert region.count > 0
    assert bool(on_board(small.scene)[region.selected].all())
    pixels, _ = camera_at(0, width=120).project(small.scene.means[region.selected])
    assert bool(((pixels > 25) & (pixels < 95)).all())


def test_through_also_takes_the_wall_behind(small):
    region = select_region(small.scene, Box(camera_at(0, width=120), MIDDLE), None, RASTERIZER, through=True)
    assert not bool(on_board(small.scene)[region.selected].all())


def test_a_wall_that_the_box_only_touches_is_not_selected(small):
    """Amount alone would take every large Gaussian that reaches into the box."""
    box = Box(camera_at(0, width=120), (0, 0, 8, 8))
    touched = select_region(small.scene, box, None, RASTERIZER, settings=SelectSettings(share=0.0))
    meant = select_region(small.scene, box, None, RASTERIZER)
    assert meant.count < touched.count


@pytest.mark.parametrize("factor", [2, 4])
def test_contributions_mean_the_same_at_any_resolution_of_the_view(small, factor):
    settings = SelectSettings(resolution=64)
    x = [
        box_contributions(
            small.scene,
            Box(camera_at(0, width=120 * f), tuple(value * f for value in MIDDLE)),
            RASTERIZER,
            ANTIALIASED,
            settings,
        )[0]
        for f in (1, factor)
    ]
    strong = x[0] > 1
    torch.testing.assert_close(x[1][strong], x[0][strong], rtol=0.1, atol=0.2)


def test_a_box_outside_the_view_gets_a_sentence(small):
    with pytest.raises(CaptureError, match="lies outside the 120x90 view"):
        select_region(small.scene, Box(camera_at(0, width=120), (130, 0, 140, 10)), None, RASTERIZER)


def test_a_box_over_nothing_is_an_empty_region():
    scene = Gaussians.empty()
    region = select_region(scene, Box(camera_at(0, width=120), MIDDLE), None, RASTERIZER)
    assert region.count == 0
    assert region.views == ()


def test_photos_are_ranked_by_how_nearly_they_look_from_the_users_side(small):
    viewer = small.capture.photos[0].camera
    region = select_region(small.scene, Box(viewer, MIDDLE), small.capture, RASTERIZER)
    assert [view.photo for view in region.views] == [0, 1, 2, 3]
    assert all(a.score >= b.score for a, b in zip(region.views, region.views[1:], strict=False))


def test_each_photos_mask_lies_where_the_selected_gaussians_project(small):
    viewer = small.capture.photos[1].camera
    region = select_region(small.scene, Box(viewer, MIDDLE), small.capture, RASTERIZER)
    for view in region.views:
        camera = small.capture.photos[view.photo].camera
        pixels, _ = camera.project(small.scene.means[region.selected])
        x0, y0, x1, y1 = view.rect
        assert tuple(view.mask.shape) == (y1 - y0, x1 - x0)
        centre = pixels.mean(0)
        assert x0 < centre[0] < x1
        assert y0 < centre[1] < y1
        assert bool(view.mask[int(centre[1]) - y0, int(centre[0]) - x0])


def test_a_photo_that_looks_away_is_left_out(small):
    away = camera_at(3.1, width=120)
    turned = Capture(
        (*small.capture.photos, small.capture.photos[0].__class__("away.png", away, small.capture.photos[0].source))
    )
    region = select_region(small.scene, Box(camera_at(0, width=120), MIDDLE), turned, RASTERIZER)
    assert 4 not in [view.photo for view in region.views]
