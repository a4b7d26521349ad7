"""Several people in one scene: each with a camera of their own, none held up by another."""

import time

import numpy as np
import pytest
from flat import flat_session

from gaussian_lens_app.scene import Box
from gaussian_lens_app.session import Combine
from gaussian_lens_app.viewer import View
from gaussian_lens_app.viewer.display import camera_of
from gaussian_lens_app.viewer.scripted import ScriptedBrowser

EYE, CENTRE = np.array([0.0, 0.0, -3.0]), np.zeros(3)
ASIDE = np.array([1.0, 0.0, 0.0])


@pytest.fixture
def flat():
    session, _ = flat_session()
    viewer = View(session, port=0)
    yield viewer, session
    viewer.stop()
    session.close()


def color(frame):
    return frame.pixels().reshape(-1, 3).mean(0) / 255


def heard(browser, text, seconds=10):
    """All that a browser was told, once that has the text in it: the panel may come after the picture."""
    end, said = time.monotonic() + seconds, ""
    while text not in said and time.monotonic() < end:
        browser.frame(0.2)
        said = " ".join(str(message) for message in browser.messages)
    return said


def a_box(viewer):
    client = next(iter(viewer.server.get_clients().values()))
    view = viewer.host.get_camera_state(client)
    return Box(camera_of(view, (view.width, view.height)), (100, 100, 300, 300))


def test_each_browser_has_its_own_camera(flat):
    viewer, _ = flat
    viewer.host.render_fn = lambda view, size: np.full((size[1], size[0], 3), 255 * (view.c2w[0, 3] > 0), np.uint8)
    with ScriptedBrowser(viewer.url) as left, ScriptedBrowser(viewer.url) as right:
        left.look(EYE - 2 * ASIDE, CENTRE)
        right.look(EYE + 2 * ASIDE, CENTRE)
        seen = color(left.last_frame()).mean(), color(right.last_frame()).mean()
    assert seen[0] < 0.05
    assert seen[1] > 0.95


def test_an_upgrade_shows_in_every_browser_and_in_those_that_come_later(flat):
    viewer, session = flat
    with ScriptedBrowser(viewer.url) as first, ScriptedBrowser(viewer.url) as second:
        for browser in (first, second):
            browser.look(EYE, CENTRE)
            assert color(browser.last_frame())[0] > 0.6
        session.upgrade(a_box(viewer)).result(5)
        for browser in (first, second):
            assert color(browser.last_frame())[1] > 0.6
    with ScriptedBrowser(viewer.url) as late:
        late.look(EYE, CENTRE)
        assert color(late.last_frame())[1] > 0.6
        said = heard(late, "Region 1")
    assert "Swapped in" in said
    assert "Region 1" in said


def test_a_browser_that_reads_nothing_holds_nobody_up(flat):
    """Frames of noise fill its connection; the other one goes on getting every one of its own."""
    viewer, _ = flat
    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 3)).astype(np.uint8)
    viewer.host.render_fn = lambda view, size: noise[: size[1], : size[0]].copy()
    with ScriptedBrowser(viewer.url, 1200, 900) as stuck, ScriptedBrowser(viewer.url, 320, 240) as quick:
        stuck.look(EYE, CENTRE)
        quick.look(EYE, CENTRE)
        quick.last_frame()
        slowest = 0.0
        for step in range(40):
            stuck.look(EYE + 0.01 * step * ASIDE, CENTRE)
            asked = time.perf_counter()
            quick.look(EYE + 0.01 * step * ASIDE, CENTRE)
            assert quick.frame(5.0) is not None
            slowest = max(slowest, time.perf_counter() - asked)
    assert slowest < 1.5


def test_who_is_not_alone_is_told_what_is_shared(flat):
    viewer, _ = flat
    with ScriptedBrowser(viewer.url) as one, ScriptedBrowser(viewer.url) as other:
        for browser in (one, other):
            browser.look(EYE, CENTRE)
        for browser in (one, other):
            assert "2 browsers look at this scene" in heard(browser, "2 browsers look at this scene")
    end = time.monotonic() + 10
    while viewer.panel.company.visible and time.monotonic() < end:
        time.sleep(0.05)
    assert not viewer.panel.company.visible


def test_what_one_does_to_the_selection_the_others_see(flat):
    viewer, session = flat
    with ScriptedBrowser(viewer.url) as one, ScriptedBrowser(viewer.url) as other:
        one.look(EYE, CENTRE)
        other.look(EYE, CENTRE)
        other.last_frame()
        one.drag(0.2, 0.2, 0.6, 0.6)
        end = time.monotonic() + 5
        while (session.selection is None or session.selection.pending) and time.monotonic() < end:
            time.sleep(0.02)
        other.last_frame()
        assert any("Gaussian selected" in str(message) for message in other.messages)
    assert session.selection.picks[0].how is Combine.NEW


def test_progress_never_jumps_back_in_the_browser(flat):
    viewer, session = flat
    paint = session._upgrade

    def stumbling(request, report):
        for fraction in (0.1, 0.6, 0.3, 0.2, 0.7, 0.5, 0.9):
            report(f"Working {fraction}", fraction)
            time.sleep(0.05)
        return paint(request, lambda stage, fraction: None)

    session._upgrade = stumbling
    with ScriptedBrowser(viewer.url) as browser:
        browser.look(EYE, CENTRE)
        browser.last_frame()
        box = a_box(viewer)
        session.select(box)
        while session.selection.pending:
            time.sleep(0.01)
        viewer.panel.upgrade.run("refine")
        viewer.panel.upgrade.jobs[-1].result(10)
        browser.last_frame()
        bar = viewer.panel.upgrade._bar._impl.uuid
        updates = [m["updates"] for m in browser.messages if m["type"] == "GuiUpdateMessage" and m["uuid"] == bar]
    seen = [update["value"] for update in updates if "value" in update]
    assert len(seen) >= 3
    assert seen == sorted(seen)
