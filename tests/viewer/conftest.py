"""A viewer to press the buttons of, without a browser; files that want another have their own."""

import numpy as np
import pytest
from fakes_files import write_board
from flat import Flat, flat_session

from gaussian_lens_app import formats
from gaussian_lens_app.scene import Box
from gaussian_lens_app.session import Session
from gaussian_lens_app.viewer import View
from gaussian_lens_app.viewer.display import camera_of
from gaussian_lens_app.viewer.scripted import ScriptedBrowser

EYE, CENTRE = np.array([0.0, 0.0, -3.0]), np.zeros(3)


@pytest.fixture
def viewer(tmp_path):
    """A scene file opened from the folder that exports go to."""
    file = formats.load(write_board(tmp_path / "board.ply"))
    session = Session(file.gaussians, rasterizer=Flat(), file=file, name="board.ply")
    made = View(session, port=0, exports=tmp_path)
    yield made
    made.stop()
    session.close()


@pytest.fixture
def opened():
    """(viewer, session, browser, a box in its view)."""
    session, _ = flat_session()
    viewer = View(session, port=0)
    with ScriptedBrowser(viewer.url) as browser:
        browser.look(EYE, CENTRE)
        browser.last_frame()
        view = viewer.host.get_camera_state(next(iter(viewer.server.get_clients().values())))
        yield viewer, session, browser, Box(camera_of(view, (view.width, view.height)), (100, 100, 300, 300))
    viewer.stop()
    session.close()
