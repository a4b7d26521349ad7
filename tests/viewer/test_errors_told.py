"""Whatever goes wrong in what a person asked for is said in the browser, and the work goes on."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes_visitor import Visitor

from gaussian_lens_app.scene import Box
from gaussian_lens_app.session.recording import camera_at
from gaussian_lens_app.viewer import panels


def fails(*_, **__):
    raise ArithmeticError("Out of tune.")


TOLD = "ArithmeticError: Out of tune."


@pytest.fixture
def box(viewer) -> Box:
    return Box(camera_at(viewer.desk.home, 64, 48), (10, 10, 30, 30))


def test_whatever_is_asked_for_by_a_button_a_field_or_a_key(viewer):
    visitor, asked = Visitor(), []
    viewer.desk.on(asked.append, fails)
    asked[0](SimpleNamespace(client=visitor))
    assert visitor.told == [("That did not work", TOLD)]


def test_every_button_and_field_of_the_panels_is_asked_through_the_desk():
    """viser would print an error on the server, and nobody at the screen would hear of it."""
    folder = Path(panels.__file__).parent
    bare = re.compile(r"\.on_(click|update|trigger)\((?!modifier)")
    found = {
        f"{path.name}: {line.strip()}"
        for path in [*folder.glob("*.py"), folder.parent / "panel.py"]
        for line in path.read_text().splitlines()
        if bare.search(line)
    }
    assert found == {'help.py: client.gui.add_button("Close").on_click(lambda _: self._closed(client))'}


def test_a_screenshot(viewer):
    visitor = Visitor()
    viewer.session.rasterizer.error = ArithmeticError("Out of tune.")
    viewer.panel.records._take(visitor)
    assert visitor.told == [("That did not work", TOLD)]


def test_a_screenshot_that_is_too_much_for_the_memory(viewer):
    visitor = Visitor()
    viewer.session.rasterizer.error = RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 B")
    viewer.panel.records._take(visitor)
    ((_, body),) = visitor.told
    assert "choose a smaller size" in body


def test_a_film(viewer, tmp_path):
    visitor, records = Visitor(), viewer.panel.records
    viewer.session.rasterizer.error = OSError("No ffmpeg.")
    records.make_film(visitor)
    assert visitor.told == [("No film", "OSError: No ffmpeg.")]
    assert records._film.label == "Make the film"
    assert [path.name for path in tmp_path.iterdir()] == ["board.ply"]


@pytest.mark.parametrize(("how", "title"), [("write", "Not exported"), ("send", "That did not work")])
def test_an_export(viewer, monkeypatch, how, title):
    visitor = Visitor()
    monkeypatch.setattr(viewer.session, "export", fails)
    getattr(viewer.panel.export, how)(visitor)
    assert visitor.told == [(title, TOLD)]


def test_mending(viewer, monkeypatch):
    visitor = Visitor()
    monkeypatch.setattr("gaussian_lens_app.session.mending.repair", fails)
    viewer.desk.attempt(lambda: viewer.session.mend().result(), visitor)
    assert visitor.told == [("That did not work", TOLD)]


def test_finding_where_a_box_is(viewer, box, monkeypatch):
    visitor = Visitor()
    monkeypatch.setattr("gaussian_lens_app.viewer.box_tool.locate", fails)
    viewer.box_tool.take(box, visitor)
    assert visitor.told == [("That did not work", TOLD)]


def test_suggestions_that_cannot_be_made_are_not_waited_for(viewer, monkeypatch):
    visitor, select = Visitor(), viewer.panel.select
    monkeypatch.setattr(select, "_show_suggestions", fails)
    select._toggle_missing(visitor)
    assert visitor.told == [("That did not work", TOLD)]
    assert "Comparing" not in select._line.content
