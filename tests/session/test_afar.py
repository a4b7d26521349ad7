"""From further away than the photos were taken: what is smaller than a pixel still looks as it should."""

import dataclasses
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from gaussian_lens_app.evaluation.metrics import psnr
from gaussian_lens_app.methods import METHODS
from gaussian_lens_app.methods.base import Budget
from gaussian_lens_app.methods.refine import Refine, RefineSettings
from gaussian_lens_app.optimize.local import LocalFitSettings
from gaussian_lens_app.raster import CLASSIC
from gaussian_lens_app.scene import Box
from gaussian_lens_app.select import select_region
from gaussian_lens_app.session import Session, open_session
from gaussian_lens_app.session.classic import compensated
from gaussian_lens_app.session.looks import Looks, Picture
from gaussian_lens_app.session.painting import Painter

DEMO = Path(__file__).parents[2] / "assets" / "demo"


@pytest.fixture
def fine(textured_board, fast_rasterizer):
    """(painter of splats half as large as the photos' pixels, a photo's camera)."""
    scene = dataclasses.replace(textured_board.truth, log_scales=textured_board.truth.log_scales - 0.5)
    session = Session(scene, rasterizer=fast_rasterizer, capture=textured_board.capture)
    yield Painter(session), textured_board.capture.photos[2].camera
    session.close()


def quarter(camera):
    """The same view with pixels four times as wide, as from four times the distance."""
    return camera.with_long_side(camera.width // 4)


def test_from_afar_the_picture_is_the_mean_of_what_is_seen_nearby(fine):
    painter, camera = fine
    near = painter.paint(camera.resized(4 * camera.width, 4 * camera.height), Looks(), finest=False)
    small = quarter(camera)
    seen = F.interpolate(near.permute(2, 0, 1)[None], (small.height, small.width), mode="area")[0].permute(1, 2, 0)
    finest, plain = (painter.paint(small, Looks(), finest=finest) for finest in (True, False))
    assert painter.has_finer(small, Looks())
    assert psnr(finest, seen) > psnr(plain, seen) + 1


def test_from_where_the_photos_were_taken_no_bit_changes(textured_board, fast_rasterizer):
    session = Session(textured_board.truth, rasterizer=fast_rasterizer, capture=textured_board.capture)
    painter, camera = Painter(session), textured_board.capture.photos[2].camera
    assert not painter.has_finer(camera, Looks())
    assert torch.equal(painter.paint(camera, Looks()), fast_rasterizer.render(session.scene, camera).rgb)
    session.close()


def test_a_moving_picture_is_drawn_once(fine):
    painter, camera = fine
    small = quarter(camera)
    moving = painter.paint(small, Looks(), moving=True)
    assert torch.equal(moving, painter.paint(small, Looks(), finest=False))
    assert not torch.equal(moving, painter.paint(small, Looks()))


def test_before_and_after_are_drawn_the_same_way_on_both_sides_of_the_split(fine):
    painter, camera = fine
    small = quarter(camera)
    split = painter.paint(small, Looks(split=0.5))
    middle = small.width // 2
    before, after = painter.paint(small, Looks(before=True)), painter.paint(small, Looks())
    torch.testing.assert_close(split[:, : middle - 1], before[:, : middle - 1])
    torch.testing.assert_close(split[:, middle + 1 :], after[:, middle + 1 :])


def test_only_colours_are_drawn_finer(fine):
    painter, camera = fine
    assert not any(painter.has_finer(quarter(camera), Looks(picture=one)) for one in Picture if one is not Picture.RGB)


@pytest.fixture(scope="module")
def upgraded():
    """(session of the demo with its sticker sharpened, the region's views)."""
    session = open_session(DEMO / "scene.ply", DEMO, "cpu")
    session.ready_close_views().result()
    box = Box(session.capture.named("DSC_0423").camera, (582, 446, 766, 573))
    with pytest.MonkeyPatch.context() as patched:  # so many steps on a busy machine too
        patched.setitem(METHODS, "refine", Refine(RefineSettings(local=LocalFitSettings(steps=150))))
        session.upgrade(box, "refine", Budget(seconds=60, gaussians=30_000)).result()
    yield session, select_region(session.baseline.scene, box, session.capture, session.rasterizer).views
    session.close()


def in_region(photo, view, factor):
    """(camera, the photo, the region's pixels), so many times smaller."""
    small = photo.with_long_side(photo.camera.width // factor)
    whole = torch.zeros(photo.camera.height, photo.camera.width)
    x0, y0, x1, y1 = view.rect
    whole[y0:y1, x0:x1] = view.mask.float()
    mask = F.interpolate(whole[None, None], (small.camera.height, small.camera.width), mode="area")[0, 0] > 0.5
    return small.camera, small.load().float() / 255, mask


def test_an_upgraded_region_seen_from_four_times_the_distance_loses_nothing(upgraded):
    """On each photo it was made from. The input scene was made from all of them at just this size: on a photo kept from
    the upgrade alone it has the advantage of having seen it (docs/afar.md has figures where neither did)."""
    session, views = upgraded
    painter, gains = Painter(session), {}
    for view in views:
        camera, photo, mask = in_region(session.capture.photos[view.photo], view, 4)
        before, after = (psnr(painter.paint(camera, Looks(before=one))[mask], photo[mask]) for one in (True, False))
        gains[session.capture.photos[view.photo].name] = after - before
    fitted = session.history[-1].patch.provenance["photos"]
    assert len(fitted) >= 6
    assert min(gains[name] for name in fitted) > -0.1, gains
    assert sum(gains.values()) / len(gains) > 1, gains


def test_the_file_for_classic_viewers_shows_an_upgraded_region_as_the_viewer_does(upgraded):
    session, views = upgraded
    painter, gaps = Painter(session), []
    made = compensated(session.scene, session.capture)
    for view in views[::2]:
        camera, photo, mask = in_region(session.capture.photos[view.photo], view, 1)
        ours = painter.paint(camera, Looks())
        theirs = session.rasterizer.render(made, camera, mode=CLASSIC).rgb
        gaps.append(psnr(theirs[mask], photo[mask]) - psnr(ours[mask], photo[mask]))
    assert abs(sum(gaps) / len(gaps)) < 0.1, gaps
    assert max(abs(gap) for gap in gaps) < 0.3, gaps
