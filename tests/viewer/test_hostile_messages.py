"""Whatever a browser sends, or however it leaves, the others go on and the server stands."""

import time

import msgspec.msgpack
import numpy as np
import pytest
from flat import served, still_serves
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from gaussian_lens_app.scene import Box
from gaussian_lens_app.viewer.display import camera_of
from gaussian_lens_app.viewer.scripted import ScriptedBrowser

EYE, CENTRE = np.array([0.0, 0.0, -3.0]), np.zeros(3)
HUGE = 10**9

POINTER = {"type": "ScenePointerMessage", "event_type": "rect-select", "ray_origin": None, "ray_direction": None}
CAMERA = {
    "type": "ViewerCameraMessage", "wxyz": [1.0, 0, 0, 0], "position": [0.0, 0, -3], "fov": 1.0, "near": 0.01,
    "far": 100.0, "image_height": 480, "image_width": 640, "look_at": [0.0, 0, 0], "up_direction": [0.0, -1, 0],
}  # fmt: skip
BAD = {
    "no message": b"\xc1\x00 nothing of the sort",
    "an empty one": b"",
    "a number": msgspec.msgpack.encode(7),
    "a type there is not": msgspec.msgpack.encode({"type": "OpenTheSafe"}),
    "a camera without its fields": msgspec.msgpack.encode({"type": "ViewerCameraMessage"}),
    "a button that is not there": msgspec.msgpack.encode({"type": "GuiUpdateMessage", "uuid": "x", "updates": {}}),
    "a box of words": msgspec.msgpack.encode({**POINTER, "screen_pos": [["a", "b"], ["c", "d"]], "modifier": "shift"}),
    "a box of one corner": msgspec.msgpack.encode({**POINTER, "screen_pos": [[0.1, 0.1]], "modifier": "shift"}),
    "a box beyond the picture": msgspec.msgpack.encode(
        {**POINTER, "screen_pos": [[-5.0, -5.0], [9.0, float("nan")]], "modifier": "shift"}
    ),
    "an upload that was not announced": msgspec.msgpack.encode(
        {"type": "FileTransferPart", "source_component_uuid": "x", "transfer_uuid": "y", "part": 0, "content": b"z"}
    ),
    "a long one": b"\xc6\x00\x4c\x4b\x40" + bytes(5_000_000),
}


@pytest.fixture
def viewer():
    with served() as viewer:
        yield viewer


@pytest.fixture(scope="module")
def standing():
    """One viewer for many attempts."""
    with served() as viewer:
        yield viewer


@pytest.mark.parametrize("name", BAD)
def test_a_message_that_means_nothing_costs_at_most_its_own_connection(standing, name):
    with ScriptedBrowser(standing.url, 320, 240) as honest:
        honest.look(EYE, CENTRE)
        assert honest.frame(10) is not None
        with ScriptedBrowser(standing.url) as hostile:
            hostile._connection.send(BAD[name])
            time.sleep(0.1)
        honest.look(EYE + 0.1, CENTRE)
        assert honest.frame(10) is not None
    still_serves(standing)


numbers = some.one_of(
    some.floats(), some.integers(-HUGE, HUGE), some.none(), some.text(max_size=3), some.lists(some.floats(), max_size=5)
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some.dictionaries(some.sampled_from(sorted(set(CAMERA) - {"type"})), numbers, min_size=1, max_size=4))
def test_a_camera_of_any_values_ends_nothing(standing, values):
    values.pop("image_width", None)
    values.pop("image_height", None)  # a huge picture is refused by the memory, see below
    with ScriptedBrowser(standing.url) as hostile:
        hostile._connection.send(msgspec.msgpack.encode({**CAMERA, **values}))
    still_serves(standing)


@pytest.mark.parametrize("size", [(0, 0), (-5, 10), (1, 1), (HUGE, 2), (2, HUGE)])
def test_a_canvas_of_any_size_ends_nothing(standing, size):
    with ScriptedBrowser(standing.url) as hostile:
        hostile._connection.send(msgspec.msgpack.encode({**CAMERA, "image_width": size[0], "image_height": size[1]}))
        time.sleep(0.3)
        still_serves(standing)
    widths, heights = zip(*standing.session.rasterizer.sizes, strict=True)
    assert min(*widths, *heights) >= 1
    assert max(*widths, *heights) <= 8192


def test_twenty_browsers_at_once_all_get_pictures(viewer):
    browsers = [ScriptedBrowser(viewer.url, 160, 120) for _ in range(20)]
    try:
        for number, browser in enumerate(browsers):
            browser.__enter__()
            browser.look(EYE + 0.01 * number, CENTRE)
        assert all(browser.frame(20) is not None for browser in browsers)
    finally:
        for browser in browsers:
            browser.__exit__()
    end = time.monotonic() + 10
    while viewer.server.get_clients() and time.monotonic() < end:
        time.sleep(0.05)
    assert not viewer.server.get_clients()
    still_serves(viewer)


def test_a_browser_that_leaves_during_a_swap_takes_nothing_with_it(viewer):
    session = viewer.session
    paint = session._upgrade

    def slow(request, report):
        for _ in range(20):
            report("Painting", 0.5)
            time.sleep(0.02)
        return paint(request, report)

    session._upgrade = slow
    with ScriptedBrowser(viewer.url) as leaving:
        leaving.look(EYE, CENTRE)
        leaving.frame(10)
        client = next(iter(viewer.server.get_clients().values()))
        view = viewer.host.get_camera_state(client)
        box = Box(camera_of(view, (view.width, view.height)), (100, 100, 300, 300))
        job = session.upgrade(box)
    assert job.result(10).applied
    still_serves(viewer)
    session.undo()
    assert len(session.scene) == 1
