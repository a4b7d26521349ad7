"""Every way of looking at the scene, by its pixels."""

import dataclasses
import gc
import time
import weakref

import numpy as np
import pytest
import torch
from scenes import camera_at

from gaussian_lens_app.evaluation.judge import Verdict
from gaussian_lens_app.raster import CLASSIC
from gaussian_lens_app.scene import Box, Kind, Patch
from gaussian_lens_app.select import select_region
from gaussian_lens_app.session import Session
from gaussian_lens_app.session.looks import Looks, Marks, Picture, turned_up
from gaussian_lens_app.session.missing import blur_in_photos, suggested_boxes
from gaussian_lens_app.session.painting import Painter
from gaussian_lens_app.upgrade import UpgradeResult

LEFT_HALF = (40, 30, 118, 150)


def to_truth(board):
    """An upgrade that replaces the selected by the true Gaussians of the left half."""

    def upgrade(request, report):
        region = select_region(request.scene, request.box, None, request.rasterizer)
        added = board.truth.take((board.truth.means[:, 0] < 0) & (board.truth.means[:, 2] == 0))
        patch = Patch(region.selected.nonzero()[:, 0], added, torch.full((len(added),), -1))
        verdict = Verdict(True, True, 3.0, 0.1, "photo_02.png", "Better.")
        return UpgradeResult(patch, region, verdict, {"method": 0.1})

    return upgrade


@pytest.fixture
def painter(textured_board, fast_rasterizer):
    session = Session(
        textured_board.scene,
        rasterizer=fast_rasterizer,
        capture=textured_board.capture,
        upgrade=to_truth(textured_board),
    )
    session.upgrade(Box(textured_board.capture.photos[2].camera, LEFT_HALF)).result(20)
    yield Painter(session)
    session.close()


@pytest.fixture
def camera(textured_board):
    return textured_board.capture.photos[2].camera


def test_before_shows_the_scene_as_it_was_opened(painter, camera, fast_rasterizer, textured_board):
    before = painter.paint(camera, Looks(before=True))
    assert torch.equal(before, fast_rasterizer.render(textured_board.scene, camera).rgb)
    assert not torch.equal(painter.paint(camera, Looks()), before)


def test_the_split_has_before_on_its_left_and_after_on_its_right(painter, camera):
    before, after = painter.paint(camera, Looks(before=True)), painter.paint(camera, Looks())
    at = round(0.4 * camera.width)
    split = painter.paint(camera, Looks(split=0.4))
    assert torch.allclose(split[:, : at - 1], before[:, : at - 1], atol=1e-4)
    assert torch.allclose(split[:, at + 1 :], after[:, at + 1 :], atol=1e-4)
    assert float(split[:, at].min()) == 1.0


def test_the_photo_covers_the_picture_from_its_own_camera(painter, textured_board):
    photo = textured_board.capture.photos[3]
    covered = painter.paint(photo.camera, Looks(photo=3, photo_opacity=1.0))
    assert float((covered - photo.load().float() / 255).abs().max()) < 0.01
    half = painter.paint(photo.camera, Looks(photo=3, photo_opacity=0.5))
    plain = painter.paint(photo.camera, Looks())
    assert torch.allclose(half, (covered + plain) / 2, atol=0.01)


def test_the_photo_stays_on_what_it_shows_when_the_view_is_another_shape(painter, textured_board, fast_rasterizer):
    """From the photo's place with a wider and turned view: the truth is what the overlay should look like."""
    photo = textured_board.capture.photos[3]
    turn = torch.eye(4)
    turn[:2, :2] = torch.tensor([[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]], dtype=torch.float32)
    wide = dataclasses.replace(photo.camera.resized(400, 300), viewmat=turn @ photo.camera.viewmat)
    covered = painter.paint(wide, Looks(photo=3, photo_opacity=1.0))
    truth = fast_rasterizer.render(textured_board.truth, wide).rgb
    inner = (slice(60, 240), slice(80, 320))
    assert float((covered - truth)[inner].abs().mean()) < 0.03


def test_depth_alpha_count_and_ellipsoids_tell_what_is_there(painter, camera):
    away = camera_at(0.0, distance=9.0)
    alpha = painter.paint(away, Looks(picture=Picture.ALPHA))
    assert float(alpha[90, 120].min()) > 0.9
    assert float(alpha[0, 0].max()) < 0.1
    depth = painter.paint(camera, Looks(picture=Picture.DEPTH))
    assert float((depth[90, 120] - depth[4, 4]).abs().max()) > 0.3  # the board and the wall behind it
    count = painter.paint(camera, Looks(picture=Picture.COUNT)).sum(-1)
    assert float(count[60:120, 70:110].mean()) > float(count[60:120, 140:180].mean())  # fine left, coarse right
    solid = painter.paint(camera, Looks(picture=Picture.ELLIPSOIDS))
    assert float((solid - painter.paint(camera, Looks())).abs().mean()) > 0.01


def test_background_shows_where_nothing_is(painter):
    away = camera_at(0.0, distance=12.0)
    picture = painter.paint(away, Looks(background=(1.0, 0.0, 1.0)))
    assert picture[0, 0].tolist() == pytest.approx([1, 0, 1], abs=0.01)


def test_kinds_are_coloured_and_can_be_left_out(painter, camera):
    plain = painter.paint(camera, Looks())
    tinted = painter.paint(camera, Looks(tint_kinds=True))
    left, right = (slice(60, 120), slice(60, 100)), (slice(60, 120), slice(150, 190))
    assert float((tinted - plain)[left].abs().mean()) > 0.05
    assert float((tinted - plain)[right].abs().mean()) < 0.01
    without = painter.paint(camera, Looks(hidden_kinds=frozenset({Kind.INVENTED})))
    assert float((without - plain)[left].abs().mean()) > 0.1
    assert float((without - plain)[right].abs().mean()) < 0.02


def test_fewer_bands_of_colour_are_drawn_when_asked(painter, camera, fast_rasterizer):
    scene = painter.session.scene
    shN = torch.full((len(scene), 3, 3), 0.2)
    session = Session(dataclasses.replace(scene, shN=shN), rasterizer=fast_rasterizer)
    own = Painter(session)
    assert not torch.allclose(own.paint(camera, Looks(sh_degree=0)), own.paint(camera, Looks()))
    assert torch.equal(own.paint(camera, Looks(sh_degree=1)), own.paint(camera, Looks()))
    session.close()


def test_what_photos_show_finer_is_marked_and_suggested(painter, camera, textured_board, fast_rasterizer):
    """The left half was upgraded: what is missing is on the right."""
    scene, capture = painter.session.scene, textured_board.capture
    blur = blur_in_photos(scene, capture)
    board = scene.means[:, 2] == 0
    left, right = board & (scene.means[:, 0] < -0.4), board & (scene.means[:, 0] > 0.4)
    assert float(blur[left].median()) * 2 < float(blur[right].median())
    marked = painter.paint(camera, Looks(missing=True)) - painter.paint(camera, Looks())
    assert float(marked[60:120, 150:190].abs().mean()) > 1.5 * float(marked[60:120, 60:100].abs().mean())
    boxes = suggested_boxes(scene, camera, capture, fast_rasterizer, painter.session.mode)
    assert boxes
    x0, y0, x1, y1 = boxes[0].rect
    assert x0 + x1 > camera.width  # on the right
    assert 0 <= x0 < x1 <= camera.width
    assert 0 <= y0 < y1 <= camera.height


def test_specks_that_hardly_show_in_the_view_are_not_suggested_for_what_a_small_map_makes_of_them(
    textured_board, fast_rasterizer, monkeypatch
):
    """The plain filter is a third of a pixel; in a map four times smaller it would make specks four times wider."""
    across, down = torch.meshgrid(torch.linspace(0.6, 1.0, 5), torch.linspace(-0.2, 0.2, 4), indexing="ij")
    specks = torch.stack([across.flatten(), down.flatten(), torch.zeros(20)], -1)
    means = torch.cat([torch.tensor([[-0.8, 0.0, 0.0]]), specks])
    log_scales = torch.tensor([0.034] + 20 * [1e-4]).log()[:, None].expand(-1, 3).clone()
    scene = dataclasses.replace(textured_board.scene.take(torch.arange(21)), means=means, log_scales=log_scales)
    scene = dataclasses.replace(scene, logit_opacities=torch.full((21,), 4.0))
    monkeypatch.setattr("gaussian_lens_app.session.missing.missing_detail", lambda *_: torch.ones(21))
    wide = camera_at(0.0, width=960)
    boxes = suggested_boxes(scene, wide, textured_board.capture, fast_rasterizer, CLASSIC)
    x0, _, x1, _ = boxes[0].rect
    assert x0 + x1 < wide.width  # on the left, over the one that shows
    assert len(boxes) == 1


def test_six_turns_bring_up_back_to_where_it_was():
    up = np.array([0.05, -0.9, 0.3])
    seen = []
    for _ in range(6):
        up = turned_up(up)
        seen.append(tuple(up))
    assert len(set(seen)) == 6
    assert seen[-1] == (0, -1, 0)


def test_before_is_the_scene_readied_for_close_views_where_it_was(textured_board, camera, fast_rasterizer):
    """Readying is part of opening: the comparison shows what upgrades did, and nothing else."""
    from gaussian_lens_app.scene import Patch
    from gaussian_lens_app.session.close_views import CLOSE_VIEWS, CLOSE_VIEWS_NAME

    session = Session(textured_board.scene, rasterizer=fast_rasterizer, capture=textured_board.capture)
    rows = torch.arange(len(session.scene))
    wider = dataclasses.replace(session.scene, log_scales=session.scene.log_scales + 0.3)
    session.work.by_hand(Patch(rows, wider, rows, rows), CLOSE_VIEWS_NAME, CLOSE_VIEWS)
    readied = fast_rasterizer.render(wider, camera).rgb
    session.delete_splats(lambda _: rows < 50, "Some removed")
    painter = Painter(session)
    assert torch.allclose(painter.paint(camera, Looks(before=True)), readied, atol=1e-5)
    assert not torch.allclose(painter.paint(camera, Looks()), readied, atol=1e-3)
    session.undo()
    session.undo()
    assert session.baseline is session.original
    session.close()


def test_the_photos_pull_is_a_second_kind_of_mark(painter, camera, textured_board, fast_rasterizer):
    """The left half was upgraded to the truth, so the photos pull at the right half alone."""
    plain = painter.paint(camera, Looks())
    detail, pull = (painter.paint(camera, Looks(missing=True, marks=marks)) - plain for marks in Marks)
    assert float((detail - pull).abs().mean()) > 0.01
    assert float(pull[60:120, 150:190].abs().mean()) > 1.2 * float(pull[60:120, 70:100].abs().mean())
    scene, capture = painter.session.scene, textured_board.capture
    boxes = suggested_boxes(scene, camera, capture, fast_rasterizer, painter.session.mode, marks=Marks.GRADIENT)
    assert boxes[0].rect[0] + boxes[0].rect[2] > camera.width  # on the right


def test_no_scene_is_kept_that_is_not_there_any_more(painter, camera, textured_board):
    """Neither by pictures of it, still or moving, nor by what was selected in it."""
    session = painter.session
    kinds, hidden = Looks(tint_kinds=True), Looks(hidden_kinds=frozenset({Kind.LEARNED}), tint_kinds=True)
    session.select(Box(textured_board.capture.photos[2].camera, LEFT_HALF))
    end = time.monotonic() + 20
    while session.selection.region is None and time.monotonic() < end:
        time.sleep(0.01)
    for looks in (Looks(missing=True), kinds, hidden):
        painter.paint(camera, looks)
        painter.paint(camera, looks, moving=True)
    old = weakref.ref(session.scene)
    session.undo()
    painter.paint(camera, hidden)
    gc.collect()
    assert old() is None
    painter.paint(camera, hidden)
    gc.collect()
    left = {id(made) for entries in painter._kept.values() for _, made in entries}
    assert id(painter.scene_shown(hidden)) in left
    assert sum(len(entries) for name, entries in painter._kept.items() if name != "few") == 3  # rows, left, kinds


def test_a_copy_of_the_scene_goes_when_it_is_not_shown_any_more(painter, camera):
    """And stays while one looks at the scene before and after, again and again."""
    looks = Looks(tint_kinds=True)
    painter.paint(camera, looks)
    copy = weakref.ref(painter.scene_shown(looks))
    painter.paint(camera, dataclasses.replace(looks, before=True))
    assert painter.scene_shown(looks) is copy()
    painter.paint(camera, Looks())
    gc.collect()
    assert copy() is None
