"""Frames from a real server to a scripted browser."""

import threading
import time

import numpy as np
import pytest
from flat import flat_session

from gaussian_lens_app.errors import DeviceError
from gaussian_lens_app.viewer import View
from gaussian_lens_app.viewer.scripted import ScriptedBrowser

EYE, CENTRE = np.array([0.0, 0.0, -3.0]), np.zeros(3)


@pytest.fixture
def flat():
    """(viewer, session, rasterizer) on a free port."""
    session, rasterizer = flat_session()
    viewer = View(session, port=0)
    yield viewer, session, rasterizer
    viewer.stop()
    session.close()


def color(frame):
    return frame.pixels().reshape(-1, 3).mean(0) / 255


def test_a_rested_frame_has_the_size_of_the_canvas(flat):
    viewer, _, _ = flat
    with ScriptedBrowser(viewer.url, 1001, 613) as browser:
        browser.look(EYE, CENTRE)
        assert browser.last_frame().size == (1001, 613)


def test_no_cap_stands_in_the_way_of_a_large_canvas(flat):
    viewer, _, _ = flat
    with ScriptedBrowser(viewer.url, 2600, 300) as browser:
        browser.look(EYE, CENTRE)
        assert browser.last_frame().size == (2600, 300)


def test_the_frame_changes_after_a_swap_and_back_after_undo(flat):
    viewer, session, _ = flat
    with ScriptedBrowser(viewer.url) as browser:
        browser.look(EYE, CENTRE)
        before = color(browser.last_frame())
        session.upgrade(None).result(5)
        after = color(browser.last_frame())
        session.undo()
        undone = color(browser.last_frame())
    np.testing.assert_allclose(before, [0.8, 0.2, 0.2], atol=0.02)
    np.testing.assert_allclose(after, [0.2, 0.8, 0.2], atol=0.02)
    np.testing.assert_allclose(undone, before, atol=0.01)


def test_a_dragged_box_is_selected_in_pixels_of_the_canvas_and_tinted(flat):
    viewer, session, _ = flat
    with ScriptedBrowser(viewer.url, 640, 480) as browser:
        browser.look(EYE, CENTRE)
        plain = color(browser.last_frame())
        browser.drag(0.25, 0.25, 0.5, 0.75)
        tinted = color(browser.last_frame())
        assert session.selection.box.rect == (160, 120, 320, 360)
        assert session.selection.region.count == 1
        assert tinted[1] > plain[1] + 0.1
        viewer.display.set_tint(False)
        np.testing.assert_allclose(color(browser.last_frame()), plain, atol=0.01)


def test_a_plain_drag_is_the_cameras_until_a_box_was_asked_for(flat):
    viewer, session, _ = flat
    with ScriptedBrowser(viewer.url) as browser:
        browser.look(EYE, CENTRE)
        browser.last_frame()
        browser.drag(0.2, 0.2, 0.6, 0.6, modifier=None)
        browser.last_frame(0.3, 1)
        assert session.selection is None
        viewer.box_tool.toggle()
        browser.drag(0.2, 0.2, 0.6, 0.6, modifier=None)
        browser.last_frame()
        assert session.selection is not None
        assert not viewer.box_tool.armed


def test_a_slip_of_the_mouse_selects_nothing(flat):
    viewer, session, _ = flat
    with ScriptedBrowser(viewer.url) as browser:
        browser.look(EYE, CENTRE)
        browser.last_frame()
        browser.drag(0.5, 0.5, 0.502, 0.6)
        browser.last_frame(0.3, 1)
    assert session.selection is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_while_drawing_is_shown_and_the_viewer_lives_on(flat):
    viewer, _, rasterizer = flat
    with ScriptedBrowser(viewer.url) as browser:
        browser.look(EYE, CENTRE)
        browser.last_frame()
        rasterizer.error = DeviceError("The device is out of memory.")
        browser.look(EYE * 1.1, CENTRE)
        browser.frame(1.0)
        shown = [message for message in browser.messages if message["type"] == "NotificationShowMessage"]
        assert [message["props"]["body"] for message in shown] == ["The device is out of memory."]
        rasterizer.error = None
        browser.look(EYE * 1.2, CENTRE)
        assert browser.last_frame() is not None


def test_a_flood_of_cameras_is_answered_with_the_newest_and_not_one_by_one(flat):
    viewer, _, rasterizer = flat
    slow = rasterizer.render

    def render(scene, camera, **kwargs):
        time.sleep(0.05)
        return slow(scene, camera, **kwargs)

    rasterizer.render = render
    with ScriptedBrowser(viewer.url) as browser:
        browser.look(EYE, CENTRE)
        browser.last_frame()
        drawn = len(rasterizer.sizes)
        start = time.perf_counter()
        for i in range(100):
            browser.look(EYE * (1 + i / 100), CENTRE)
            time.sleep(0.005)
        browser.last_frame(0.3)
        assert len(rasterizer.sizes) - drawn < (time.perf_counter() - start) / 0.05 + 2


def test_the_picture_is_coarser_while_the_camera_moves_on_a_slow_machine(flat):
    viewer, _, rasterizer = flat
    fast = rasterizer.render

    def render(scene, camera, **kwargs):
        time.sleep(2e-7 * camera.width * camera.height)
        return fast(scene, camera, **kwargs)

    rasterizer.render = render
    with ScriptedBrowser(viewer.url, 1200, 800) as browser:
        browser.look(EYE, CENTRE)
        browser.last_frame()
        sizes = []
        for i in range(60):
            browser.look(EYE * (1 + i / 100), CENTRE)
            frame = browser.frame(0.03)
            if frame is not None:
                sizes.append(frame.size)
        assert sizes[-1][0] < 1000
        assert browser.last_frame().size == (1200, 800)


def test_stopping_frees_the_port_and_ends_the_drawing_threads():
    before = set(threading.enumerate())
    session, _ = flat_session()
    viewer = View(session, port=0)
    port = viewer.port
    with ScriptedBrowser(viewer.url) as browser:
        browser.look(EYE, CENTRE)
        browser.last_frame()
        viewer.stop()
    session.close()
    again_session, _ = flat_session()
    again = View(again_session, port=port)
    assert again.port == port
    again.stop()
    again_session.close()
    end = time.monotonic() + 5
    while left := [t for t in set(threading.enumerate()) - before if t.is_alive() and "ThreadPool" not in t.name]:
        assert time.monotonic() < end, left
        time.sleep(0.05)


def test_a_browser_that_leaves_ends_its_thread_and_disturbs_nobody(flat):
    viewer, _, _ = flat
    with ScriptedBrowser(viewer.url) as stays:
        stays.look(EYE, CENTRE)
        stays.last_frame()
        with ScriptedBrowser(viewer.url) as leaves:
            leaves.look(EYE, CENTRE)
            leaves.last_frame()
            assert len(viewer.host._renderers) == 2
        end = time.monotonic() + 5
        while len(viewer.host._renderers) != 1:
            assert time.monotonic() < end
            time.sleep(0.02)
        stays.look(EYE * 1.3, CENTRE)
        assert stays.last_frame() is not None


def test_serving_ends_when_the_viewer_is_stopped(flat):
    viewer, _, _ = flat
    thread = threading.Thread(target=viewer.serve)
    thread.start()
    viewer.stop()
    thread.join(3)
    assert not thread.is_alive()


def test_a_finer_picture_follows_the_one_at_rest_where_there_is_one(flat):
    viewer, _, _ = flat
    drawn, draw = [], viewer.host.render_fn
    viewer.host.render_fn = lambda view, size: drawn.append((view.moving, view.finest)) or draw(view, size)
    with ScriptedBrowser(viewer.url) as browser:
        browser.look(EYE, CENTRE)
        browser.last_frame()
        assert not any(finest for _, finest in drawn)
        viewer.host.has_finer = lambda view: True
        drawn.clear()
        browser.look(EYE + 0.1, CENTRE)
        browser.last_frame()
    assert drawn[-2:] == [(False, False), (False, True)]
    assert not any(moving and finest for moving, finest in drawn)


def test_where_a_picture_at_rest_takes_long_no_finer_one_follows(flat):
    viewer, _, _ = flat
    drawn, draw = [], viewer.host.render_fn
    viewer.host.render_fn = lambda view, size: drawn.append(view.finest) or draw(view, size)
    viewer.host.has_finer = lambda view: True
    viewer.host.pace.predicted = lambda width, height: 1.0
    with ScriptedBrowser(viewer.url) as browser:
        browser.look(EYE, CENTRE)
        browser.last_frame()
    assert drawn
    assert not any(drawn)
