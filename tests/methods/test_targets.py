"""Windows of photos on a region."""

import pytest
import torch
from lens_samples import lens_task
from scenes import camera_at

from gaussian_lens_app.methods.targets import make_target, widened
from gaussian_lens_app.scene import PhotoView

CAMERA = camera_at(0.0, width=240)
RECT = (100, 60, 140, 80)


def view(rect=RECT) -> PhotoView:
    mask = torch.zeros(rect[3] - rect[1], rect[2] - rect[0], dtype=torch.bool)
    mask[0, 0] = mask[3:7, 5:9] = True
    return PhotoView(0, rect, mask, overlap=1.0, resolution=100.0, cosine=1.0, score=1.0)


def marked(view: PhotoView) -> set[tuple[int, int]]:
    """Pixels of the photo that show the region."""
    rows, columns = view.mask.nonzero(as_tuple=True)
    return {(view.rect[0] + int(x), view.rect[1] + int(y)) for x, y in zip(columns, rows, strict=True)}


def test_a_widened_window_reaches_further_and_shows_the_region_where_it_was():
    wide = widened(view(), CAMERA, 0.25)
    assert wide.rect == (90, 55, 150, 85)
    assert wide.mask.shape == (30, 60)
    assert marked(wide) == marked(view())


@pytest.mark.parametrize("rect", [(0, 0, 40, 20), (200, 160, 240, 180), (0, 0, 240, 180)])
def test_it_ends_where_the_photo_does(rect):
    wide = widened(view(rect), CAMERA, 0.5)
    left, top, right, bottom = wide.rect
    assert 0 <= left <= rect[0]
    assert 0 <= top <= rect[1]
    assert rect[2] <= right <= CAMERA.width
    assert rect[3] <= bottom <= CAMERA.height
    assert wide.mask.shape == (bottom - top, right - left)
    assert marked(wide) == marked(view(rect))


def test_without_a_margin_it_is_the_same():
    same = widened(view(), CAMERA, 0.0)
    assert same.rect == RECT
    assert torch.equal(same.mask, view().mask)


def test_a_cut_out_of_a_window_is_the_smaller_window(textured_board, fast_rasterizer):
    task = lens_task(textured_board, fast_rasterizer)
    view = task.region.views[0]
    wide = widened(view, task.capture.photos[view.photo].camera, 0.15)
    small, large = (make_target(task.scene, task.capture, one, fast_rasterizer, task.mode) for one in (view, wide))
    found = large.cut(view.rect)
    assert found.rect == small.rect != large.rect
    assert torch.equal(found.photo, small.photo)
    assert torch.equal(found.mask, small.mask)
    for name in ("rgb", "alpha", "depth", "median_depth"):
        torch.testing.assert_close(getattr(found.render, name), getattr(small.render, name))
    assert small.cut(view.rect) is small
