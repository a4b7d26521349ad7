"""Where photos were taken: shown, hidden, and hidden again before all of them are there."""

import dataclasses
import threading
import tracemalloc
from dataclasses import dataclass

import pytest
import torch
from fakes_visitor import Visitor
from flat import Flat, dot, soon
from scenes import camera_at

from gaussian_lens_app.scene import Camera, Capture, Photo
from gaussian_lens_app.session import Session
from gaussian_lens_app.viewer import View
from gaussian_lens_app.viewer.panels.photos import spacing

COUNT = 6


@dataclass(frozen=True, eq=False)
class Slow(Photo):
    """A photo that is not read before its gate is open."""

    gate: threading.Event = threading.Event()
    asked: threading.Event = threading.Event()

    def load(self):
        self.asked.set()
        assert self.gate.wait(10)
        return super().load()


@pytest.fixture
def photo():
    """What all photos of the viewer have in common: an event that opens them, and one that says they were asked for."""
    pixels = torch.zeros(90, 120, 3, dtype=torch.uint8)
    return Slow("a.png", camera_at(0.0, width=120), pixels, gate=threading.Event(), asked=threading.Event())


@pytest.fixture
def viewer(photo):
    photos = [dataclasses.replace(photo, name=f"{i}.png", camera=camera_at(0.1 * i, width=120)) for i in range(COUNT)]
    session = Session(dot((0.5, 0.5, 0.5)), rasterizer=Flat(), capture=Capture(tuple(photos)))
    made = View(session, port=0)
    photo.asked.clear()
    yield made
    photo.gate.set()
    made.stop()
    session.close()


def shown(viewer) -> list[int]:
    """The photos whose places are in the scene."""
    nodes = [viewer.server.scene.get_handle_by_name(f"/photos/{i}") for i in range(COUNT)]
    return [i for i, node in enumerate(nodes) if node is not None]


def pressing(viewer) -> threading.Thread:
    thread = threading.Thread(target=viewer.panel.photos.toggle_frusta, args=(Visitor(),))
    thread.start()
    return thread


def test_cameras_hidden_while_they_still_appear_stay_hidden(viewer, photo):
    first = pressing(viewer)
    assert photo.asked.wait(5)
    pressing(viewer).join(5)
    photo.gate.set()
    first.join(5)
    assert not viewer.panel.photos._frusta.value
    assert shown(viewer) == []
    assert not viewer.panel.photos._places


def test_cameras_shown_once_more_meanwhile_are_all_there(viewer, photo):
    first = pressing(viewer)
    assert photo.asked.wait(5)
    pressing(viewer).join(5)
    third = pressing(viewer)
    photo.gate.set()
    for thread in (first, third):
        thread.join(5)
    assert shown(viewer) == list(range(COUNT))
    places = viewer.panel.photos._places
    assert [index for index, place in places.items() if not place.visible] == [viewer.panel.photos._index]


def test_one_can_walk_through_the_photos_while_cameras_appear(viewer, photo):
    panel = viewer.panel.photos
    first = pressing(viewer)
    assert photo.asked.wait(5)
    panel._photo.value = "3.png"
    photo.gate.set()
    first.join(5)
    assert soon(lambda: [index for index, place in panel._places.items() if not place.visible] == [3])


def grid(side: int) -> Capture:
    """Photos a tenth apart, and one far away."""
    places = [(0.1 * x, 0.1 * y, 0.0) for x in range(side) for y in range(side)] + [(50.0, 0.0, 0.0)]
    views = torch.eye(4).repeat(len(places), 1, 1)
    views[:, :3, 3] = -torch.tensor(places)
    pixels = torch.zeros(1, 1, 3, dtype=torch.uint8)
    return Capture(tuple(Photo("a.png", Camera(view, torch.eye(3), 1, 1), pixels) for view in views))


def test_the_typical_distance_between_photos_is_that_to_the_nearest_one():
    assert spacing(grid(3)) == pytest.approx(0.1, rel=1e-4)
    assert spacing(grid(3).only([0])) == 1.0
    assert spacing(grid(3).only([4, 4, 4])) == 1.0


def test_the_distance_between_many_photos_takes_little_memory():
    capture = grid(40)
    tracemalloc.start()
    try:
        assert spacing(capture) == pytest.approx(0.1, rel=1e-3)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
