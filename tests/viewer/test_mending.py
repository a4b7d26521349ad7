"""A scene with faults is opened with the offer to mend them; mending is one step, and undo takes it back."""

import dataclasses
import threading
import time

import numpy as np
import pytest
import torch
from fakes_visitor import Visitor
from flat import Flat, repainting

from gaussian_lens_app import formats
from gaussian_lens_app.errors import MethodError
from gaussian_lens_app.scene import Gaussians, Patch
from gaussian_lens_app.session import Session
from gaussian_lens_app.session.close_views import CLOSE_VIEWS_NAME
from gaussian_lens_app.session.mending import MENDED
from gaussian_lens_app.session.project import new_project, open_project
from gaussian_lens_app.viewer import View
from gaussian_lens_app.viewer.scripted import ScriptedBrowser


def sound(count: int = 200) -> Gaussians:
    random = torch.Generator().manual_seed(0)
    shapes = [(count, 3), (count, 4), (count, 3), (count,), (count, 1, 3), (count, 3, 3)]
    g = Gaussians(*(torch.randn(shape, generator=random) for shape in shapes))
    return dataclasses.replace(g, log_scales=0.3 * g.log_scales - 4)


def faulty() -> Gaussians:
    """Opacities applied already, one row twice, one giant."""
    g = sound()
    scales = g.log_scales.clone()
    scales[11] = 4.0
    g = dataclasses.replace(g, logit_opacities=g.opacities, log_scales=scales)
    return Gaussians.concat([g, g.take(torch.tensor([4]))])


def same_bits(a: Gaussians, b: Gaussians) -> bool:
    return all(torch.equal(x, y) for (_, x), (_, y) in zip(a.tensors(), b.tensors(), strict=True))


@pytest.fixture
def opened(tmp_path):
    """Opens a scene from a file: (viewer, session)."""
    made = []

    def open_it(scene: Gaussians):
        formats.save(tmp_path / "scene.ply", scene)
        file = formats.load(tmp_path / "scene.ply")
        session = Session(file.gaussians, rasterizer=Flat(), file=file, upgrade=repainting((0, 1, 0)))
        viewer = View(session, port=0, exports=tmp_path)
        made.append((viewer, session))
        viewer.panel.mending.looking.result(20)
        return viewer, session

    yield open_it
    for viewer, session in made:
        viewer.stop()
        session.close()


def test_the_panel_names_what_is_wrong_and_mends_it_in_one_step(opened):
    viewer, session = opened(faulty())
    section, before = viewer.panel.mending, session.scene
    assert section._folder.visible
    assert section._mend.label == "Mend 3 findings"
    assert "Opacities are stored linearly" in section._list.content
    assert "twice" in section._list.content
    assert session.mend().result(20) is not None
    assert formats.lint(session.scene) == ()
    assert len(session.scene) == 199
    assert not section._folder.visible
    assert "Undo takes it back" in viewer.panel.outcome.line.content
    session.undo()
    assert same_bits(session.scene, before)
    assert section._folder.visible
    session.redo()
    assert formats.lint(session.scene) == ()


def test_mending_gives_the_scene_that_convert_with_repair_gives(opened):
    _, session = opened(faulty())
    session.mend().result(20)
    assert same_bits(session.scene, formats.repair(faulty()).gaussians)


def test_a_sound_scene_is_offered_nothing_and_mending_it_changes_nothing(opened):
    viewer, session = opened(sound())
    assert not viewer.panel.mending._folder.visible
    assert session.mend().result(20) is None
    assert not session.can_undo


def test_only_rows_with_a_fault_are_touched(opened):
    g = sound()
    scales = g.log_scales.clone()
    scales[20] = torch.tensor([-8.0, -9.0, 0.0])
    _, session = opened(dataclasses.replace(g, log_scales=scales))
    edit = session.mend().result(20)
    assert edit.patch.removed.tolist() == [20]
    assert len(edit.patch.added) == 1
    rest = torch.arange(200) != 20
    assert same_bits(session.scene.take(rest), g.take(rest))


def test_whoever_opens_a_scene_that_is_wrong_as_a_whole_is_told(opened):
    viewer, session = opened(faulty())
    assert told(viewer)
    session.mend().result(20)
    assert not told(viewer)


def told(viewer) -> bool:
    """Whether a browser that comes now gets the note."""
    with ScriptedBrowser(viewer.url) as browser:
        browser.look(np.array([0.0, 0.0, -3.0]), np.zeros(3))
        browser.last_frame()
        return any("Something is wrong with this file" in str(message) for message in browser.messages)


def test_a_mended_scene_is_exported_and_reopened_mended(opened, tmp_path):
    _, session = opened(faulty())
    new_project(tmp_path / "work", tmp_path / "scene.ply", None, session)
    session.mend().result(20)
    session.export(tmp_path / "out.ply")
    assert formats.lint(formats.load(tmp_path / "out.ply").gaussians) == ()
    again, _ = open_project(tmp_path / "work", "cpu")
    assert same_bits(again.scene, session.scene)
    again.undo()
    assert same_bits(again.scene, session.original.scene)
    again.close()


def test_the_button_mends(opened):
    viewer, session = opened(faulty())
    with ScriptedBrowser(viewer.url) as browser:
        browser.look(np.array([0.0, 0.0, -3.0]), np.zeros(3))
        browser.last_frame()
        browser._send(type="GuiUpdateMessage", uuid=viewer.panel.mending._mend._impl.uuid, updates={"value": True})
        end = time.monotonic() + 20
        while not session.history and time.monotonic() < end:
            time.sleep(0.02)
    assert session.history[0].name == "Mended what was found"


def rounded(edited, *_):
    """Readying that hides needles."""
    every = torch.arange(len(edited.scene))
    scene = dataclasses.replace(edited.scene, log_scales=edited.scene.log_scales.mean(1, keepdim=True).expand(-1, 3))
    return Patch(every, scene, every, provenance={"method": "band-limit"}, kinds=edited.rows.kinds)


def with_a_needle() -> Gaussians:
    g = sound()
    scales = g.log_scales.clone()
    scales[20] = torch.tensor([-8.0, -9.0, 0.0])
    return dataclasses.replace(g, log_scales=scales)


def names(session) -> list[str]:
    return [edit.name for edit in session.history]


def test_a_fault_that_readying_for_close_views_hid_is_mended_under_it(opened, monkeypatch):
    monkeypatch.setattr("gaussian_lens_app.session.steps.close_views_patch", rounded)
    viewer, session = opened(with_a_needle())
    session.ready_close_views().result(20)
    assert formats.lint(session.scene) == ()
    readied = session.scene
    viewer.panel.mending._start(None)
    assert names(session) == [MENDED, CLOSE_VIEWS_NAME]
    assert session.history[0].patch.removed.tolist() == [20]
    assert not viewer.panel.mending._folder.visible
    session.undo()
    session.undo()
    assert same_bits(session.scene, session.original.scene)
    for _ in range(2):
        session.redo()
    assert not same_bits(session.scene, readied)


def test_mending_that_is_asked_for_while_close_views_are_readied_waits_and_mends(opened, monkeypatch):
    begun, gate = threading.Event(), threading.Event()

    def held(*arguments):
        begun.set()
        assert gate.wait(20)
        return rounded(*arguments)

    monkeypatch.setattr("gaussian_lens_app.session.steps.close_views_patch", held)
    viewer, session = opened(with_a_needle())
    session.ready_close_views()
    assert begun.wait(20)
    visitor = Visitor()
    mending = threading.Thread(target=viewer.panel.mending._start, args=[visitor])
    mending.start()
    gate.set()
    mending.join(20)
    assert names(session) == [MENDED, CLOSE_VIEWS_NAME]
    assert not visitor.told


def test_mending_that_is_asked_for_while_an_upgrade_runs_leaves_it_its_splats(opened, monkeypatch):
    monkeypatch.setattr("gaussian_lens_app.session.steps.close_views_patch", rounded)
    begun, gate = threading.Event(), threading.Event()

    def upgrade(request, report):
        begun.set()
        assert gate.wait(20)
        return repainting((0, 1, 0))(request, report)

    viewer, session = opened(with_a_needle())
    session.ready_close_views().result(20)
    session._upgrade = upgrade
    job = session.upgrade(None)
    assert begun.wait(20)
    mending = threading.Thread(target=viewer.panel.mending._start, args=[Visitor()])
    mending.start()
    time.sleep(0.1)
    gate.set()
    assert job.result(20).applied
    mending.join(20)
    assert names(session)[:2] == [CLOSE_VIEWS_NAME, session.regions[0].current.edit.name]


def test_before_shows_the_mended_and_readied_scene_and_is_offered_once_something_was_upgraded(opened, monkeypatch):
    monkeypatch.setattr("gaussian_lens_app.session.steps.close_views_patch", rounded)
    viewer, session = opened(with_a_needle())
    compare = viewer.panel.compare
    session.ready_close_views().result(20)
    viewer.panel.mending._start(None)
    assert same_bits(session.baseline.scene, session.scene)
    assert compare._before.disabled
    ready = session.scene
    session.upgrade(None).result(20)
    assert same_bits(session.baseline.scene, ready)
    assert not compare._before.disabled
    session.hide_region(1)
    assert same_bits(session.baseline.scene, session.scene)
    for _ in range(4):
        session.undo()
    assert session.baseline is session.original
    for _ in range(3):
        session.redo()
    assert same_bits(session.baseline.scene, ready)


def test_a_second_press_while_it_is_mended_says_nothing(opened):
    viewer, session = opened(faulty())
    visitor = Visitor()
    for _ in range(2):
        viewer.panel.mending._start(visitor)
    assert names(session) == [MENDED]
    assert not visitor.told


def test_mending_does_not_undo_the_hiding_of_a_region(opened, monkeypatch):
    monkeypatch.setattr("gaussian_lens_app.session.steps.close_views_patch", rounded)
    viewer, session = opened(with_a_needle())
    session.ready_close_views().result(20)
    session.upgrade(None).result(20)
    session.hide_region(1)
    viewer.panel.mending._start(Visitor())
    assert not session.regions[0].shown
    assert names(session) == [CLOSE_VIEWS_NAME]


def test_where_nothing_can_be_mended_it_says_what_to_do(opened, monkeypatch):
    viewer, _ = opened(faulty())
    told = []
    monkeypatch.setattr(viewer.desk, "tell", lambda client, *words: told.append(words))
    monkeypatch.setattr("gaussian_lens_app.session.steps.mending_patch", lambda *_: None)
    viewer.panel.mending._start(None)
    assert told[0][0] == "Nothing was mended"


def test_a_mending_that_fails_leaves_the_scene_readied_for_close_views(opened, monkeypatch):
    def fails(*_):
        raise MethodError("no")

    viewer, session = opened(faulty())
    every = torch.arange(len(session.scene))
    session._stepped(
        "close views", session.work.by_hand(Patch(every, session.scene, every), CLOSE_VIEWS_NAME, "close views")
    )
    monkeypatch.setattr("gaussian_lens_app.session.steps.mending_patch", fails)
    with pytest.raises(MethodError):
        viewer.panel.mending._start(None)
    assert names(session) == [CLOSE_VIEWS_NAME]
