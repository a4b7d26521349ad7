"""What a person does, in a real browser against the real server."""

import time

import numpy as np
import pytest
from screen import inside, outside
from sharpen import sharpening

from gaussian_lens_app import formats
from gaussian_lens_app.session import Session

pytestmark = pytest.mark.browser

BOX = (230, 250, 400, 420)
"""On the checkered side of the board, window pixels."""


@pytest.fixture
def on_board(textured_board, fast_rasterizer):
    """A session on the blurred board, with an upgrade that knows the answer."""

    def session(**how) -> Session:
        return Session(
            textured_board.scene,
            rasterizer=fast_rasterizer,
            capture=textured_board.capture,
            name="board.ply",
            upgrade=sharpening(textured_board, **how),
        )

    return session


def change(a, b):
    """Mean absolute difference of two pictures."""
    return float(np.abs(a - b).mean())


def test_box_upgrade_swap_undo_redo_export_reopen(opened, on_board, fast_rasterizer, tmp_path, pictures):
    session = on_board()
    screen = opened(session)
    before = screen.settled()
    screen.save(pictures / "1_before.png")

    screen.drag(BOX)
    screen.sees("Gaussians selected")
    tinted = screen.settled()
    screen.save(pictures / "2_selected.png")
    assert change(inside(tinted, BOX), inside(before, BOX)) > 0.05
    assert change(outside(tinted, BOX, 40), outside(before, BOX, 40)) < 0.004

    screen.press("Upgrade")
    screen.sees("Looking up the answer")
    screen.save(pictures / "3_running.png")
    screen.sees("Swapped in")
    after = screen.settled()
    screen.save(pictures / "4_after.png")
    assert change(inside(after, BOX), inside(before, BOX)) > 0.03
    assert change(outside(after, BOX, 40), outside(before, BOX, 40)) < 0.004

    screen.press("Undo")
    screen.sees("Took back")
    undone = screen.settled()
    assert change(inside(undone, BOX), inside(before, BOX)) < 0.004

    screen.press("Redo")
    screen.sees("again")
    redone = screen.settled()
    assert change(inside(redone, BOX), inside(after, BOX)) < 0.004

    target = tmp_path / "sharp.ply"
    screen.page.locator('input[value$="_edited.ply"]').fill("../../sharp.ply")  # a name from a browser is only a name
    screen.press("Export")
    screen.sees("in sharp.ply")
    screen.save(pictures / "5_exported.png")
    reopened = formats.load(target).gaussians
    assert len(reopened) == len(session.scene)

    again = opened(Session(reopened, rasterizer=fast_rasterizer, capture=session.capture, name="sharp.ply"))
    assert change(inside(again.settled(), BOX), inside(after, BOX)) < 0.004


def test_the_button_and_the_key_arm_a_plain_drag(opened, on_board):
    session = on_board()
    screen = opened(session)
    screen.press("Select region")
    screen.sees("Now drag a box")
    screen.drag(BOX, shift=False)
    screen.sees("Gaussians selected")
    screen.press("Clear box")
    screen.sees("Hold Shift")
    screen.page.mouse.click(BOX[0], BOX[1])
    screen.page.keyboard.press("b")
    screen.sees("Now drag a box")
    screen.drag(BOX, shift=False)
    screen.sees("Gaussians selected")


def test_a_refused_upgrade_says_why_and_can_be_forced(opened, on_board, pictures):
    session = on_board(accepted=False, seconds=0.2)
    screen = opened(session)
    before = screen.settled()
    screen.drag(BOX)
    screen.sees("Gaussians selected")
    screen.press("Upgrade")
    screen.sees("Not swapped in")
    screen.sees("Worse by 1.0 dB")
    screen.save(pictures / "6_refused.png")
    assert change(outside(screen.settled(), BOX, 40), outside(before, BOX, 40)) < 0.004
    screen.press("Apply anyway")
    screen.sees("at your word")
    assert len(session.history) == 1


def test_cancel_leaves_the_scene_within_a_second(opened, on_board):
    session = on_board(seconds=30)
    screen = opened(session)
    scene = session.scene
    screen.drag(BOX)
    screen.sees("Gaussians selected")
    screen.press("Upgrade")
    screen.sees("left")
    asked = time.monotonic()
    screen.press("Cancel")
    screen.sees("Cancelled")
    assert time.monotonic() - asked < 1.5
    assert session.scene is scene


def test_the_camera_flies_to_the_box_and_back(opened, on_board, pictures):
    screen = opened(on_board())
    screen.drag(BOX)
    screen.sees("Gaussians selected")
    far = screen.settled()
    screen.press("Zoom to box")
    screen.button("Fly back").wait_for()
    near = screen.settled()
    screen.save(pictures / "7_zoomed.png")
    assert change(near, far) > 0.03
    screen.press("Fly back")
    screen.button("Zoom to box").wait_for()
    assert change(screen.settled(), far) < 0.01


def test_the_edited_scene_can_be_downloaded(opened, on_board, tmp_path):
    session = on_board()
    screen = opened(session)
    with screen.page.expect_download() as download:
        screen.press("Download")
        screen.page.get_by_text("board_edited.ply").last.click()
    download.value.save_as(tmp_path / "got.ply")
    assert len(formats.load(tmp_path / "got.ply").gaussians) == len(session.scene)


def test_without_photos_the_panel_says_what_is_missing(opened, textured_board, fast_rasterizer, pictures):
    screen = opened(Session(textured_board.scene, rasterizer=fast_rasterizer, name="alone.ply"))
    screen.sees("No photos")
    screen.sees("needs photos")
    screen.save(pictures / "8_no_photos.png")
    assert screen.button("Upgrade").is_disabled()
