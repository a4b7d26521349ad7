"""The way back from a box belongs to the browser that flew there, and ends with it."""

import numpy as np
import pytest
from flat import flat_session, soon

from gaussian_lens_app.scene import Box
from gaussian_lens_app.viewer import View
from gaussian_lens_app.viewer.display import camera_of
from gaussian_lens_app.viewer.outline import REGION, Target, locate, show_region
from gaussian_lens_app.viewer.panels.select import BACK, ZOOM
from gaussian_lens_app.viewer.scripted import ScriptedBrowser

EYE, CENTRE = np.array([0.0, 0.0, -3.0]), np.zeros(3)
TARGET = Target(np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]), np.array([0.0, 0, 1]))


@pytest.fixture
def viewer():
    """With a box to fly to."""
    session, _ = flat_session()
    made = View(session, port=0)
    made.box_tool.target = TARGET
    yield made
    made.stop()
    session.close()


def newest(viewer, browser):
    """The server's handle of a browser that has just come."""
    browser.look(EYE, CENTRE)
    assert browser.last_frame() is not None
    clients = viewer.server.get_clients()
    return clients[max(clients)]


def a_box(viewer):
    view = viewer.host.get_camera_state(next(iter(viewer.server.get_clients().values())))
    return Box(camera_of(view, (view.width, view.height)), (100, 100, 300, 300))


def label(viewer):
    return viewer.panel.select._box.options[0]


def test_the_button_says_what_it_does_for_whoever_flew(viewer):
    with ScriptedBrowser(viewer.url) as browser:
        client = newest(viewer, browser)
        viewer.panel.select.fly(client)
        assert label(viewer) == BACK
        assert viewer.flights.away(client.client_id)
        assert not viewer.flights.away(client.client_id + 1)
        viewer.panel.select.fly(client)
        assert label(viewer) == ZOOM


def test_a_closed_tab_leaves_no_way_back_to_the_others(viewer):
    with ScriptedBrowser(viewer.url) as stays:
        there = newest(viewer, stays)
        with ScriptedBrowser(viewer.url) as goes:
            gone = newest(viewer, goes)
            viewer.panel.select.fly(gone)
            assert label(viewer) == BACK
        assert soon(lambda: label(viewer) == ZOOM)
        assert viewer.box_tool.client is None
        viewer.flights.to_box(gone, TARGET)  # by somebody who still holds it
        assert not viewer.flights.away(gone.client_id)
        viewer.panel.select.fly(there)
        assert label(viewer) == BACK


def test_after_another_box_elsewhere_the_one_who_flew_can_still_go_back(viewer):
    with ScriptedBrowser(viewer.url) as one, ScriptedBrowser(viewer.url) as other:
        one.look(EYE, CENTRE)
        other.look(EYE, CENTRE)
        assert one.last_frame() is not None
        assert other.last_frame() is not None
        first, second = viewer.server.get_clients().values()
        viewer.panel.select.fly(first)
        viewer.panel.select.fly(second)
        viewer.panel.select.fly(second)
        assert label(viewer) == ZOOM
        assert viewer.flights.away(first.client_id)


def test_an_upgrade_is_followed_only_by_the_browser_that_boxed_it(viewer):
    viewer.panel.looking.auto_fly.value = True
    with ScriptedBrowser(viewer.url) as stays:
        newest(viewer, stays)
        with ScriptedBrowser(viewer.url) as goes:
            viewer.box_tool.client = newest(viewer, goes)
        assert soon(lambda: viewer.box_tool.client is None)
        viewer.session.upgrade(a_box(viewer)).result(5)
        assert not viewer.flights._home


def test_what_is_followed_is_the_box_that_was_upgraded_and_not_the_one_dragged_since(viewer):
    viewer.panel.looking.auto_fly.value = True
    with ScriptedBrowser(viewer.url) as browser:
        client = viewer.box_tool.client = newest(viewer, browser)
        box = a_box(viewer)
        viewer.session.upgrade(box).result(5)
        centre = locate(viewer.session.scene, box, viewer.session.rasterizer, viewer.session.mode).centre
        assert soon(lambda: np.allclose(viewer.flights.pose(client).look_at, centre, atol=1e-3))
        assert not np.allclose(centre, TARGET.centre, atol=1e-2)


def test_nobody_is_flown_anywhere_by_an_upgrade_of_the_whole_scene(viewer):
    viewer.panel.looking.auto_fly.value = True
    with ScriptedBrowser(viewer.url) as browser:
        viewer.box_tool.client = newest(viewer, browser)
        viewer.session.upgrade(None).result(5)
        assert not viewer.flights._home


def test_after_undoing_everything_there_is_no_before_to_show(viewer):
    with ScriptedBrowser(viewer.url) as browser:
        newest(viewer, browser)
        shown = viewer.panel.compare._before
        assert shown.disabled
        viewer.session.upgrade(a_box(viewer)).result(5)
        assert not shown.disabled
        viewer.session.undo()
        assert shown.disabled
        viewer.session.redo()
        assert not shown.disabled


def framed(viewer):
    return any(name.startswith(REGION) for name in viewer.server.scene._handle_from_node_name)


@pytest.mark.parametrize("way", ["back", "to a view", "closed"])
def test_the_frame_of_a_region_goes_when_whoever_flew_there_does(viewer, way):
    with ScriptedBrowser(viewer.url) as stays:
        newest(viewer, stays)
        with ScriptedBrowser(viewer.url) as browser:
            client = newest(viewer, browser)
            show_region(viewer.server, TARGET, viewer.host.unit)
            viewer.flights.to_box(client, TARGET)
            assert framed(viewer)
            if way == "back":
                viewer.panel.select.fly(client)
            elif way == "to a view":
                viewer.flights.to(client, viewer.desk.home)
            assert framed(viewer) == (way == "closed")
        assert soon(lambda: not framed(viewer))
