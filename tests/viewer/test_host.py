"""What we rely on in nerfview, and what of it must not come back."""

import os
import sys

import nerfview
import numpy as np
import pytest
from flat import flat_session
from nerfview._renderer import Renderer

from gaussian_lens_app.viewer import View
from gaussian_lens_app.viewer.host import FrameThread, Host
from gaussian_lens_app.viewer.pace import StreamSettings
from gaussian_lens_app.viewer.scripted import ScriptedBrowser


def test_nerfview_is_the_version_whose_insides_were_read():
    assert nerfview.__version__ == "0.1.3", "Read nerfview/_renderer.py and viewer.py again before moving this pin."


def test_everything_replaced_is_there_to_be_replaced():
    for name in ("_init_rendering_tab", "_populate_rendering_tab", "rerender", "_connect_client", "_disconnect_client"):
        assert getattr(Host, name) is not getattr(nerfview.Viewer, name)
    assert FrameThread.run is not Renderer.run
    assert FrameThread.submit is Renderer.submit


def test_an_error_while_drawing_ends_neither_the_process_nor_the_thread(monkeypatch):
    ended = []
    monkeypatch.setattr(os, "_exit", ended.append)
    session, rasterizer = flat_session()
    viewer = View(session, port=0)
    rasterizer.error = ValueError("not drawn")
    with ScriptedBrowser(viewer.url) as browser:
        browser.look(np.array([0.0, 0.0, -3.0]), np.zeros(3))
        browser.frame(1.0)
        rasterizer.error = None
        viewer.host.rerender()
        assert browser.frame() is not None
    viewer.stop()
    session.close()
    assert not ended


def test_drawing_is_not_traced():
    session, rasterizer = flat_session()
    viewer = View(session, port=0)
    draw, tracers = rasterizer.render, []

    def render(*args, **kwargs):
        tracers.append(sys.gettrace())
        return draw(*args, **kwargs)

    rasterizer.render = render
    with ScriptedBrowser(viewer.url) as browser:
        browser.look(np.array([0.0, 0.0, -3.0]), np.zeros(3))
        browser.last_frame()
    viewer.stop()
    session.close()
    assert tracers == [None] * len(tracers) != []


def test_a_rested_picture_is_sent_in_good_quality():
    """A smooth ramp loses next to nothing at quality 90 and above."""
    session, _ = flat_session()
    viewer = View(session, port=0)
    ramp = np.linspace(0, 255, 640).astype(np.uint8)[None, :, None].repeat(480, 0).repeat(3, 2)
    viewer.host.render_fn = lambda view, size: ramp if size == (640, 480) else ramp[: size[1], : size[0]].copy()
    with ScriptedBrowser(viewer.url, 640, 480) as browser:
        browser.look(np.array([0.0, 0.0, -3.0]), np.zeros(3))
        frame = browser.last_frame()
    viewer.stop()
    session.close()
    assert np.abs(frame.pixels().astype(int) - ramp).max() <= 4
    assert StreamSettings().rest_quality >= 90


@pytest.mark.parametrize("word", ["trajectory", "keyframe", "output", "viewer res", "share"])
def test_the_page_offers_none_of_nerfviews_controls(word):
    session, _ = flat_session()
    viewer = View(session, port=0)
    with ScriptedBrowser(viewer.url) as browser:
        browser.look(np.array([0.0, 0.0, -3.0]), np.zeros(3))
        browser.last_frame()
        labels = [str(message.get("props", {}).get("label", "")).lower() for message in browser.messages]
        themes = [message for message in browser.messages if message["type"] == "ThemeConfigurationMessage"]
    viewer.stop()
    session.close()
    assert any("upgrade" in label for label in labels)
    assert not any(word in label for label in labels)
    assert themes[-1]["show_share_button"] is False
