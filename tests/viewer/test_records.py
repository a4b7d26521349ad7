"""Screenshots and films show what the browser shows, and what cannot be made is said."""

import io
import threading

import imageio.v3 as iio
import numpy as np
import pytest
from fakes_visitor import Visitor

from gaussian_lens_app.session import Session
from gaussian_lens_app.session.looks import Looks
from gaussian_lens_app.session.painting import Painter
from gaussian_lens_app.session.recording import as_bytes, camera_at
from gaussian_lens_app.viewer import View


@pytest.fixture
def viewer(textured_board, fast_rasterizer, tmp_path):
    """A board with its photos."""
    session = Session(
        textured_board.scene, rasterizer=fast_rasterizer, capture=textured_board.capture, name="board.ply"
    )
    made = View(session, port=0, exports=tmp_path)
    made.panel.records._size.value = (96, 72)
    yield made
    made.stop()
    session.close()


def standing_at(viewer: View, photo: int) -> Visitor:
    """A browser whose camera is where the photo was taken."""
    visitor, camera = Visitor(), viewer.session.capture.photos[photo].camera
    visitor.camera.position = (camera.position / viewer.host.unit).tolist()
    return visitor


def shot(viewer: View, visitor: Visitor) -> np.ndarray:
    viewer.panel.records._take(visitor)
    return iio.imread(io.BytesIO(visitor.files["board.png"]), extension=".png").astype(int)


def drawn(viewer: View, visitor: Visitor) -> np.ndarray:
    """The scene alone, as this browser sees it."""
    camera = camera_at(viewer.flights.pose(visitor), 96, 72)
    return as_bytes(Painter(viewer.session).paint(camera, Looks(), False)).astype(int)


def test_a_photo_is_in_a_screenshot_only_where_the_camera_stands_at_it(viewer):
    viewer.display.set(photo=3, photo_opacity=1.0)
    there, away = standing_at(viewer, 3), standing_at(viewer, 0)
    assert np.abs(shot(viewer, there) - drawn(viewer, there)).mean() > 2
    assert np.array_equal(shot(viewer, away), drawn(viewer, away))


def test_no_photo_lies_over_a_film(viewer, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "gaussian_lens_app.viewer.panels.records.write_video",
        lambda path, paint, poses, size, looks, report: seen.append(looks) or (path.write_bytes(b"film") and path),
    )
    viewer.display.set(photo=3, tint_kinds=True)
    viewer.panel.records.make_film(standing_at(viewer, 3))
    assert [(looks.photo, looks.tint_kinds) for looks in seen] == [(None, True)]


def test_a_film_can_be_fetched_through_the_browser_once_it_is_made(viewer, monkeypatch):
    monkeypatch.setattr(
        "gaussian_lens_app.viewer.panels.records.write_video", lambda path, *_: path.write_bytes(b"film") and path
    )
    records, visitor = viewer.panel.records, standing_at(viewer, 3)
    assert not records._fetch.visible
    records.make_film(visitor)
    assert records._fetch.visible
    records._send_film(visitor)
    assert list(visitor.files.values()) == [b"film"]
    records._made.unlink()
    records._send_film(visitor)
    assert "cannot be read" in visitor.told[-1][1]
    assert "make it anew" in visitor.told[-1][1]


def test_who_learns_of_the_film_last_has_the_last_word(viewer):
    """The job's thread may stop between looking and writing."""
    records = viewer.panel.records
    looked, go_on = threading.Event(), threading.Event()

    class Slow:
        @property
        def visible(self):
            return False

        @visible.setter
        def visible(self, _):
            looked.set()
            go_on.wait(2)

    bar, records._bar = records._bar, Slow()
    early = threading.Thread(target=records.show_progress)
    early.start()
    assert looked.wait(5)
    records._made = viewer.desk.exports / "film.webp"
    late = threading.Thread(target=records.show_progress)
    late.start()
    go_on.set()
    early.join()
    late.join()
    records._bar = bar
    assert records._fetch.visible


def test_an_export_does_not_wait_for_a_film(viewer, tmp_path, monkeypatch):
    begun, gate = threading.Event(), threading.Event()

    def slow(path, *_):
        begun.set()
        gate.wait(20)
        path.write_bytes(b"film")
        return path

    monkeypatch.setattr("gaussian_lens_app.viewer.panels.records.write_video", slow)
    visitor, film = Visitor(), Visitor()
    filming = threading.Thread(target=viewer.panel.records.make_film, args=[film])
    writing = threading.Thread(target=viewer.panel.export.write, args=[visitor])
    filming.start()
    assert begun.wait(5)
    writing.start()
    writing.join(5)
    assert not film.told
    assert [title for title, _ in visitor.told] == ["Exported"]
    gate.set()
    filming.join(5)
    writing.join(5)
    assert [title for title, _ in film.told] == ["Film made"]
