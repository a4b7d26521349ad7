"""Readying close views is seen, can be cancelled and says why it failed, like any upgrade."""

import threading

import pytest
import torch
from flat import Flat, dot, repainting, soon

from gaussian_lens_app.jobs import JobState
from gaussian_lens_app.scene import Box, Camera, Capture, Photo
from gaussian_lens_app.session import Session
from gaussian_lens_app.viewer import View

CAMERA = Camera(torch.eye(4), torch.tensor([[8.0, 0, 4], [0, 8, 4], [0, 0, 1]]), 8, 8)


class Held(Flat):
    """Draws nothing until the test lets it, where `held`."""

    def __init__(self):
        super().__init__()
        self.held, self.begun, self.gate = False, threading.Event(), threading.Event()

    def render(self, *args, **how):
        if self.held:
            self.begun.set()
            assert self.gate.wait(10)
        return super().render(*args, **how)


@pytest.fixture
def held():
    """(viewer, session, rasterizer)"""
    rasterizer = Held()
    pixels = torch.zeros(8, 8, 3, dtype=torch.uint8)
    capture = Capture((Photo("a.png", CAMERA, pixels),))
    session = Session(dot((1, 0, 0)), rasterizer=rasterizer, capture=capture, upgrade=repainting((0, 1, 0)))
    viewer = View(session, port=0)
    rasterizer.held = True
    yield viewer, session, rasterizer
    rasterizer.gate.set()
    viewer.stop()
    session.close()


def test_the_panel_shows_what_upgrades_wait_for_and_cancels_it(held):
    viewer, session, rasterizer = held
    panel = viewer.panel.upgrade
    job = session.ready_close_views()
    assert rasterizer.begun.wait(10)
    panel.show_progress()
    assert panel._cancel.visible
    assert panel._progress.content.startswith("Readying close views: comparing with the photos")
    panel._stop()
    rasterizer.gate.set()
    assert job.wait(10)
    assert job.state is JobState.CANCELLED
    assert soon(lambda: "Cancelled" in viewer.panel.outcome.line.content)
    assert not panel._cancel.visible
    assert not session.history


def test_an_upgrade_asked_for_meanwhile_is_counted_as_waiting(held):
    viewer, session, rasterizer = held
    session.ready_close_views()
    assert rasterizer.begun.wait(10)
    session.select(Box(CAMERA, (0, 0, 8, 8)))
    viewer.panel.upgrade.run("refine")
    assert "Readying close views" in viewer.panel.upgrade._progress.content
    assert "1 more waiting" in viewer.panel.upgrade._progress.content


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MemoryError(), "start with --no-close-views"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "Memory ran out during readying close views"),
        (ValueError("odd"), "Readying close views stopped with an error"),
    ],
)
def test_why_it_failed_is_said(held, error, sentence):
    viewer, session, rasterizer = held
    rasterizer.held, rasterizer.error = False, error
    assert session.ready_close_views().wait(10)
    assert soon(lambda: sentence in viewer.panel.outcome.line.content), viewer.panel.outcome.line.content
