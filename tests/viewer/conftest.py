"""A viewer to press the buttons of, without a browser; files that want another have their own."""

import pytest
from fakes_files import write_board
from flat import Flat

from gaussian_lens_app import formats
from gaussian_lens_app.session import Session
from gaussian_lens_app.viewer import View


@pytest.fixture
def viewer(tmp_path):
    """A scene file opened from the folder that exports go to."""
    file = formats.load(write_board(tmp_path / "board.ply"))
    session = Session(file.gaussians, rasterizer=Flat(), file=file, name="board.ply")
    made = View(session, port=0, exports=tmp_path)
    yield made
    made.stop()
    session.close()
