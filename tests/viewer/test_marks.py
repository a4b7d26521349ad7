"""Marks on what is blurred: worked out beside the drawing, which goes on, and unused where nobody wants them."""

import dataclasses
import threading
from dataclasses import dataclass

import numpy as np
import pytest
from flat import soon
from scenes import camera_at

from gaussian_lens_app.scene import Capture, Photo
from gaussian_lens_app.session import Session
from gaussian_lens_app.session.looks import Looks, Marks
from gaussian_lens_app.session.missing import CAMERAS, blur_in_photos
from gaussian_lens_app.session.painting import Painter
from gaussian_lens_app.viewer import View
from gaussian_lens_app.viewer.host import ClientView

SIZE = (120, 90)


@dataclass(frozen=True, eq=False)
class Slow(Photo):
    """A photo that is not read before its gate is open."""

    gate: threading.Event = threading.Event()

    def load(self):
        assert self.gate.wait(10)
        return super().load()


@pytest.fixture
def gate():
    made = threading.Event()
    yield made
    made.set()


@pytest.fixture
def viewer(textured_board, fast_rasterizer, gate):
    gate.set()  # for whoever looks at the photos on opening
    photos = [Slow(one.name, one.camera, one.source, gate=gate) for one in textured_board.capture.photos]
    session = Session(textured_board.scene, rasterizer=fast_rasterizer, capture=Capture(tuple(photos)))
    made = View(session, port=0)
    made.panel.mending.looking.wait(20)
    gate.clear()
    yield made
    gate.set()
    made.stop()
    session.close()


def drawn(viewer) -> np.ndarray:
    """What a browser is sent; waits three seconds for it."""
    place = np.linalg.inv(camera_at(0.0).viewmat.numpy())
    view, pictures = ClientView(0.8, SIZE[0] / SIZE[1], place, *SIZE), []
    thread = threading.Thread(target=lambda: pictures.append(viewer.display(view, SIZE)), daemon=True)
    thread.start()
    thread.join(3)
    assert pictures, "nothing is drawn"
    return pictures[0]


def marked(viewer, **changes) -> np.ndarray:
    """The same picture with the marks of the scene as it is, by who waits for them."""
    looks, amounts = dataclasses.replace(Looks(missing=True), **changes), viewer.display.painter
    viewer.display.painter, before = Painter(viewer.session), viewer.display.looks
    viewer.display.looks = looks
    try:
        return drawn(viewer)
    finally:
        viewer.display.painter, viewer.display.looks = amounts, before


def test_the_scene_is_drawn_without_marks_until_they_are_worked_out_and_the_panel_says_so(viewer, gate):
    plain, select = drawn(viewer), viewer.panel.select
    viewer.display.set(missing=True)
    assert np.array_equal(drawn(viewer), plain)
    select._suggested = 3
    select.refresh()
    assert "Comparing the scene with your photos" in select._line.content
    gate.set()
    assert soon(lambda: not np.array_equal(drawn(viewer), plain))
    assert np.array_equal(drawn(viewer), marked(viewer))
    assert soon(lambda: "blue boxes" in select._line.content)


def test_marks_hidden_while_they_are_worked_out_are_given_up(viewer, gate):
    plain = drawn(viewer)
    viewer.display.set(missing=True)
    drawn(viewer)
    job = next(job for job in viewer.session._files._jobs if not job.state.finished)
    viewer.display.set(missing=False)
    gate.set()
    job.wait(5)
    assert job.state.value == "cancelled"
    assert viewer.display.marking.progress is None
    assert np.array_equal(drawn(viewer), plain)


def test_marks_of_a_scene_that_is_no_more_are_not_shown(viewer, gate):
    viewer.display.set(missing=True)
    drawn(viewer)
    viewer.session.delete_splats(lambda now: now.scene.means[:, 0] > 0.3, "Some removed")
    plain = drawn(viewer)
    gate.set()
    assert soon(lambda: not np.array_equal(drawn(viewer), plain))
    assert np.array_equal(drawn(viewer), marked(viewer))


def test_both_halves_of_a_split_get_marks_of_their_own(viewer, gate):
    viewer.session.delete_splats(lambda now: now.scene.means[:, 1] > 0.2, "Some removed")
    viewer.display.set(missing=True, split=0.5)
    drawn(viewer)
    gate.set()
    assert soon(lambda: np.array_equal(drawn(viewer), marked(viewer, split=0.5)))


def test_the_other_kind_of_marks_takes_the_place_of_those_at_work(viewer, gate):
    viewer.display.set(missing=True)
    drawn(viewer)
    viewer.display.set(marks=Marks.GRADIENT)
    gate.set()
    assert soon(lambda: np.array_equal(drawn(viewer), marked(viewer, marks=Marks.GRADIENT)))


def test_photos_that_cannot_be_read_stop_the_marks_and_not_the_picture(viewer, gate, tmp_path):
    plain, select = drawn(viewer), viewer.panel.select
    photos = [Photo(one.name, one.camera, tmp_path / one.name) for one in viewer.session.capture.photos]
    viewer.session.capture = Capture(tuple(photos))
    viewer.display.set(missing=True)
    select._suggested = 0
    assert np.array_equal(drawn(viewer), plain)
    assert soon(lambda: "is gone: put it back" in select._line.content)
    assert np.array_equal(drawn(viewer), plain)


def test_the_work_does_not_grow_with_the_number_of_photos(textured_board, monkeypatch):
    photos = textured_board.capture.photos
    many = Capture(tuple(dataclasses.replace(photos[i % len(photos)], name=f"{i}.png") for i in range(300)))
    camera, asked = type(photos[0].camera), []
    frames = camera.frames
    monkeypatch.setattr(camera, "frames", lambda self, *args: asked.append(self) or frames(self, *args))
    blur = blur_in_photos(textured_board.scene, many)
    assert len(asked) <= CAMERAS
    assert float((blur > 0).float().mean()) > 0.5
