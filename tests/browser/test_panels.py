"""What the tabs do, in a real browser against the real server."""

import threading
import time

import numpy as np
import pytest
from screen import SIZE, inside
from sharpen import sharpening

from gaussian_lens_app.errors import MethodError
from gaussian_lens_app.session import Session

pytestmark = pytest.mark.browser

BOX = (230, 250, 400, 420)
INNER = (280, 300, 350, 370)
"""Window pixels, on the checkered side of the board; the second inside the first."""


@pytest.fixture
def session(textured_board, fast_rasterizer):
    return Session(
        textured_board.scene,
        rasterizer=fast_rasterizer,
        capture=textured_board.capture,
        name="board.ply",
        upgrade=sharpening(textured_board, seconds=0.3),
    )


def change(a, b):
    return float(np.abs(a - b).mean())


def upgraded(screen, session, box):
    before = len(session.regions)
    screen.tab("Sharpen")
    screen.drag(box)
    screen.sees("Gaussians selected")
    screen.press("Upgrade")
    screen.until(lambda: len(session.regions) > before)
    screen.sees("Swapped in")
    return screen.settled()


def test_before_and_after_by_button_key_and_split(opened, session, pictures):
    screen = opened(session)
    before = screen.settled()
    after = upgraded(screen, session, BOX)
    screen.press("Show before")
    assert change(inside(screen.settled(), BOX), inside(before, BOX)) < 0.004
    screen.key("c")
    screen.button("Show before").wait_for()
    assert change(inside(screen.settled(), BOX), inside(after, BOX)) < 0.004
    screen.key("x")
    screen.sees("Position")
    screen.page.locator('input:not([type=hidden])[value="0.5"]').last.fill("0.38")
    screen.key("Enter")
    split = screen.settled()
    screen.save(pictures / "panel_split.png")
    at = round(0.38 * split.shape[1])
    assert BOX[0] + 30 < at < BOX[2] - 30
    left, right = (BOX[0], BOX[1], at - 4, BOX[3]), (at + 4, BOX[1], BOX[2], BOX[3])
    assert change(inside(split, left), inside(before, left)) < 0.004
    assert change(inside(split, right), inside(after, right)) < 0.004


def test_regions_are_named_hidden_tried_again_and_removed_with_what_stands_on_them(opened, session, pictures):
    screen = opened(session)
    before = screen.settled()
    after = upgraded(screen, session, BOX)
    upgraded(screen, session, INNER)
    screen.press("Clear box")
    screen.tab("Regions")
    screen.sees("inside Region 1")
    screen.choose("Region", "Region 1")
    screen.sees("Region 2 stands on it")
    screen.page.locator('input[value="Region 1"]').last.fill("Checks")
    screen.key("Enter")
    screen.sees("Checks")
    screen.save(pictures / "panel_regions.png")
    screen.press("Hide it")
    screen.sees("cannot be hidden alone")
    screen.press("Hide with Region 2")
    screen.button("Show it").wait_for()
    assert change(inside(screen.settled(), BOX), inside(before, BOX)) < 0.004
    screen.press("Show it")
    screen.button("Hide it").wait_for()
    assert change(inside(screen.settled(), BOX), inside(after, BOX)) < 0.01
    screen.press("Try this too")
    screen.sees("2 versions")
    screen.press("Next version")
    screen.until(lambda: session.regions[0].chosen == 0)
    screen.key("n")
    screen.until(lambda: session.regions[0].chosen == 1)
    screen.press("Remove it")
    screen.sees("cannot be removed alone")  # hidden, but it could never be shown again
    screen.press("Remove with Region 2")
    screen.button("Remove it").wait_for(state="hidden")
    assert session.regions == ()
    assert change(inside(screen.settled(), BOX), inside(before, BOX)) < 0.004


def test_a_photo_is_visited_laid_over_and_its_place_shown(opened, session, textured_board, pictures):
    screen = opened(session)
    far = screen.settled()
    screen.tab("Photos")
    screen.press("Next")
    time.sleep(1.2)
    there = screen.settled()
    assert change(there, far) > 0.01
    screen.key("p")
    time.sleep(1)
    half = screen.settled()
    assert change(half, there) > 0.01
    screen.number("Opacity", "1")
    time.sleep(0.5)
    photo = textured_board.capture.photos[1].load().numpy() / 255
    shown = screen.settled()
    height = shown.shape[0]
    width = round(height * photo.shape[1] / photo.shape[0])
    x0 = (shown.shape[1] - width) // 2
    rows, columns = (np.arange(40, height - 40), np.arange(x0 + 40, x0 + width - 40))
    sampled = photo[(rows * photo.shape[0]) // height][:, ((columns - x0) * photo.shape[1]) // width]
    visible = columns < shown.shape[1]
    assert change(shown[rows][:, columns[visible]], sampled[:, visible]) < 0.08
    screen.key("p")
    screen.key("f")
    screen.tab("View")
    screen.press("Whole scene")
    time.sleep(1.5)
    framed = screen.settled()
    screen.save(pictures / "panel_frusta.png")
    screen.key("f")
    time.sleep(0.5)
    drawn = np.abs(screen.settled() - framed).max(-1) > 0.2
    assert drawn.sum() > 300  # pixels of frames and thumbnails


def test_which_photos_see_the_box_is_listed_best_first(opened, session):
    screen = opened(session)
    screen.drag(BOX)
    screen.sees("Gaussians selected")
    screen.tab("Photos")
    screen.sees("photos see the box")
    best = session.capture.photos[session.selection.region.views[0].photo].name
    assert screen.page.locator(f'input[value^="1. {best}"]').count()
    screen.press("Go to this one")
    time.sleep(1.2)
    screen.settled()


def test_selecting_more_and_less_is_counted_before_anything_runs(opened, session):
    screen = opened(session)
    screen.drag(BOX)
    screen.sees("Gaussians selected")
    screen.sees("new Gaussians")  # the estimate
    first = session.selection.region.count
    screen.page.get_by_text("More ways to select").click()
    screen.choose("Next box", "Add")
    screen.drag((500, 250, 600, 420))
    screen.until(lambda: not session.selection.pending and len(session.selection.picks) == 2)
    both = session.selection.region.count
    assert both > first
    screen.choose("Next box", "Remove")
    screen.drag(BOX)
    screen.until(lambda: not session.selection.pending and len(session.selection.picks) == 3)
    assert session.selection.region.count == both - first
    screen.press("Invert")
    screen.until(lambda: not session.selection.pending and len(session.selection.picks) == 4)
    assert session.selection.region.count == len(session.scene) - (both - first)


def test_ways_of_drawing_and_a_screenshot_of_another_size(opened, session, tmp_path, pictures):
    import imageio.v3 as iio

    screen = opened(session)
    colour = screen.settled()
    screen.tab("View")
    for name in ("Depth", "Splat count", "Ellipsoids"):
        screen.choose("Shows", name)
        time.sleep(0.3)
        assert change(screen.settled(), colour) > 0.02
        screen.save(pictures / f"panel_{name.lower().replace(' ', '_')}.png")
    screen.choose("Shows", "Colour")
    screen.page.get_by_text("Screenshot and film").click()
    with screen.page.expect_download() as download:
        screen.press("Screenshot")
        screen.page.get_by_text("board.png").last.click()
    download.value.save_as(tmp_path / "shot.png")
    assert iio.imread(tmp_path / "shot.png").shape == (1080, 1920, 3)
    up = session.scene.means.clone()
    screen.press("Turn the up axis")
    time.sleep(0.5)
    assert change(screen.settled(), colour) > 0.02
    assert bool((session.scene.means == up).all())
    screen.page.get_by_label("Dark panel").click()
    time.sleep(0.5)
    panel = screen.window()[:, -200:]
    assert panel.mean() > 0.6


def test_a_click_with_control_turns_the_camera_to_what_is_there(opened, session):
    screen = opened(session)
    before = screen.settled()
    screen.page.keyboard.down("Control")
    screen.page.mouse.click(BOX[0], BOX[1])
    screen.page.keyboard.up("Control")
    time.sleep(1)
    after = screen.settled()
    assert change(after, before) > 0.01
    x0, y0, x1, y1 = screen.canvas
    middle = ((x0 + x1) // 2, (y0 + y1) // 2)
    patch = slice(middle[1] - 6, middle[1] + 6), slice(middle[0] - 6, middle[0] + 6)
    there = slice(BOX[1] - 6, BOX[1] + 6), slice(BOX[0] - 6, BOX[0] + 6)
    assert np.abs(after[patch].mean((0, 1)) - before[there].mean((0, 1))).max() < 0.15


def test_what_is_blurred_is_suggested_and_a_click_takes_it(opened, session, pictures):
    screen = opened(session)
    plain = screen.settled()
    screen.press("What is blurred here?")
    screen.button("Hide the marks").wait_for()
    time.sleep(1)
    marked = screen.settled()
    screen.save(pictures / "panel_suggestions.png")
    assert change(marked, plain) > 0.02
    screen.sees("blue boxes")
    x0, y0, x1, y1 = screen.canvas
    spots = [(200, 350), *((x, y) for y in range(y0 + 60, y1 - 60, 60) for x in range(x0 + 60, x1 - 60, 60))]
    for x, y in spots:
        screen.page.mouse.click(x, y)
        time.sleep(0.3)
        if session.selection is not None:
            break
    screen.sees("Gaussians selected")
    screen.button("What is blurred here?").wait_for()


def test_marks_hidden_while_boxes_are_looked_for_leave_no_boxes_behind(opened, session, monkeypatch):
    from gaussian_lens_app.viewer.panels import select

    go_on, shown, look = threading.Event(), [], select.suggested_boxes
    monkeypatch.setattr(select, "suggested_boxes", lambda *args, **how: go_on.wait(20) and look(*args, **how))
    monkeypatch.setattr(select, "show_suggestion", lambda *args: shown.append(args))
    screen = opened(session)
    screen.press("What is blurred here?")
    screen.sees("Comparing the scene with your photos")
    screen.press("Hide the marks")
    screen.button("What is blurred here?").wait_for()
    go_on.set()
    time.sleep(1)
    assert shown == []
    screen.press("What is blurred here?")
    screen.sees("blue box")
    assert shown


def test_in_a_low_window_what_is_done_next_is_in_sight(opened, session):
    """Select, Upgrade and Show before, each when it is its turn, without scrolling the panel."""
    screen = opened(session)

    def in_sight(label):
        box = screen.button(label).bounding_box()
        return box is not None and box["y"] + box["height"] <= SIZE[1]

    assert SIZE[1] <= 700
    assert in_sight("Select region")
    assert in_sight("Upgrade")
    assert screen.button("Upgrade").is_disabled()
    assert not screen.button("Upgrade whole scene").is_visible()
    screen.drag(BOX)
    screen.sees("new Gaussians")
    assert in_sight("Upgrade")
    screen.press("Upgrade")
    screen.sees("Swapped in")
    assert in_sight("Show before")


def test_the_whole_scene_has_a_method_of_its_own(opened, textured_board, fast_rasterizer):
    asked = []

    def noted(request, report):
        asked.append((request.box, request.method))
        raise MethodError("Only asked.")

    board = textured_board
    screen = opened(Session(board.scene, rasterizer=fast_rasterizer, capture=board.capture, upgrade=noted))
    screen.page.get_by_text("More ways to upgrade").click()
    screen.sees("all its photos at once")
    screen.press("Upgrade whole scene")
    screen.sees("Only asked.")
    assert asked == [(None, "fit-scene")]


def test_the_worst_places_are_upgraded_without_a_box(opened, session):
    screen = opened(session)
    screen.page.get_by_text("More ways to upgrade").click()
    screen.press("Upgrade the worst places")
    screen.until(lambda: len(session.regions) >= 2, timeout=60)
    for region in session.regions:
        x0, y0, x1, y1 = region.box.rect
        assert 0 <= x0 < x1 <= region.box.camera.width
        assert 0 <= y0 < y1 <= region.box.camera.height
    assert session.selection is None


def test_a_long_name_without_spaces_breaks_instead_of_widening_the_panel(opened, session):
    session.name = f"{'a_scene_of_a_very_long_name_' * 4}.ply"
    screen = opened(session)
    upgraded(screen, session, BOX)
    session.rename_region(session.regions[0].number, "w" * 60)
    for tab, name in (("Sharpen", "a_scene"), ("Regions", "wwww")):
        screen.tab(tab)
        screen.sees(name)
        wider = """[...document.querySelectorAll('.mantine-ScrollArea-viewport')]
            .map(one => one.scrollWidth - one.clientWidth).filter(most => most > 1)"""
        assert screen.page.evaluate(wider) == []


def test_keys_are_listed_on_a_key(opened, session):
    screen = opened(session)
    screen.page.mouse.click(300, 300)
    screen.key("h")
    screen.sees("before / after")
    screen.press("Close")
