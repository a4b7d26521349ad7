"""Clicks too many, keys with nothing to do, and boxes with nothing in them: each gets an answer, none does harm."""

import dataclasses
import threading
import time

import pytest
import torch
from fakes_visitor import Visitor
from flat import repainting, soon

from gaussian_lens_app.formats import load
from gaussian_lens_app.scene import Region
from gaussian_lens_app.viewer.panels import export as export_panel


@pytest.fixture
def held(opened):
    """Upgrades of the session wait for this event."""
    _, session, *_ = opened
    gate = threading.Event()

    def waiting(request, report):
        while not gate.wait(0.01):
            report("Waiting", 0.5)
        return repainting((0.2, 0.2, 0.8))(request, report)

    session._upgrade = waiting
    yield gate
    gate.set()


def boxed(opened) -> None:
    """A box is dragged and what is in it found."""
    viewer, session, browser, _ = opened
    viewer.box_tool.toggle()
    browser.drag(0.2, 0.2, 0.6, 0.6)
    assert soon(lambda: session.selection is not None and session.selection.region is not None)


def test_a_second_click_on_upgrade_starts_nothing_while_the_first_is_at_work(opened, held):
    viewer, session, *_ = opened
    boxed(opened)
    section = viewer.panel.upgrade
    for _ in range(2):
        section._start()
    assert len(section.jobs) == 1
    assert section._upgrade.disabled
    section.run("refine")  # another method on the same box is another wish
    assert len(section.jobs) == 2
    held.set()
    assert soon(lambda: not session.busy and not section._upgrade.disabled)
    section._start()
    assert soon(lambda: len(session.history) == 3)


def test_a_second_click_on_upgrade_whole_scene_starts_nothing_either(opened, held):
    section = opened[0].panel.upgrade
    for _ in range(2):
        section.run("split", whole=True)
    assert len(section.jobs) == 1


def test_one_button_cancels_what_is_at_work_and_another_all_that_waits(opened, held):
    viewer, session, _, box = opened
    section = viewer.panel.upgrade
    section.run("refine", box=box)
    assert soon(lambda: section._cancel.visible)
    assert (section._cancel.label, section._cancel_all.visible) == ("Cancel", False)
    section.run("refine", box=box)
    section.run("refine", box=box)
    assert (section._cancel.label, section._cancel_all.label) == ("Cancel this one", "Cancel all 3")
    section._stop()
    assert soon(lambda: section._cancel_all.label == "Cancel all 2")
    section._stop_all()
    assert soon(lambda: not session.busy and not section._cancel.visible)
    assert not section._cancel_all.visible
    assert not session.history


def test_two_clicks_on_export_write_one_file(opened, tmp_path, monkeypatch):
    viewer, visitor = opened[0], Visitor()
    viewer.desk.exports = tmp_path
    for _ in range(2):
        viewer.panel.export._do(visitor)
    (file,) = tmp_path.iterdir()
    assert len(load(file).gaussians) == len(viewer.session.scene)
    monkeypatch.setattr(export_panel, "DOUBLE_CLICK", 0.0)
    viewer.panel.export._do(visitor)
    assert len(list(tmp_path.iterdir())) == 2


def test_keys_with_nothing_to_do_say_so(opened):
    panel, visitor = opened[0].panel, Visitor()
    panel.compare.toggle_before(visitor)
    panel.compare.toggle_split(visitor)
    panel.upgrade.steps.undo(visitor)
    panel.upgrade.steps.redo(visitor)
    panel.photos.toggle_overlay(visitor)
    panel.photos.toggle_frusta(visitor)
    panel.select.fly(visitor)
    titles = ["Nothing to compare yet"] * 2 + ["Nothing to undo", "Nothing to redo"] + ["No photos"] * 2
    assert [title for title, _ in visitor.told] == [*titles, "Nothing to fly to"]
    looks = opened[0].display.looks
    assert (looks.before, looks.split) == (False, None)
    assert panel.compare._split_on.disabled


def test_before_and_after_can_be_compared_once_they_differ(opened):
    viewer, session, _, box = opened
    session.upgrade(box).result(5)
    visitor = Visitor()
    assert soon(lambda: not viewer.panel.compare._split_on.disabled)
    viewer.panel.compare.toggle_before(visitor)
    assert viewer.display.looks.before
    viewer.panel.compare.toggle_split(visitor)
    assert viewer.display.looks.split is not None
    session.undo()
    viewer.panel.compare.toggle_split(visitor)  # what is on can always be switched off
    assert viewer.display.looks.split is None
    assert not visitor.told


def test_the_button_for_before_says_what_its_next_press_does_after_undo_too(opened):
    viewer, session, _, box = opened
    compare = viewer.panel.compare
    for _ in range(2):
        session.upgrade(box).result(5)
    assert soon(lambda: not compare._before.disabled)
    compare.toggle_before(Visitor())
    assert compare._before.label == "Show after"
    session.undo()
    assert not viewer.display.looks.before
    assert (compare._before.label, compare._before.color) == ("Show before", "gray")
    compare.toggle_before(Visitor())
    assert viewer.display.looks.before


def test_a_box_on_nothing_promises_nothing(opened):
    viewer, session, *_ = opened
    boxed(opened)
    assert soon(lambda: "new Gaussians" in viewer.panel.upgrade._hint.content)  # the panel hears of it a moment later
    assert tuple(viewer.panel.select._box.options) == ("Zoom to box", "Clear box")
    nothing = Region(torch.zeros(1, dtype=torch.bool), torch.zeros(1))
    viewer.box_tool.target = None
    session._set_selection(dataclasses.replace(session.selection, region=nothing))
    assert viewer.panel.upgrade._upgrade.disabled
    assert "new Gaussians" not in viewer.panel.upgrade._hint.content
    assert tuple(viewer.panel.select._box.options) == ("Clear box",)


def test_escape_means_no_box_after_all(opened):
    viewer, visitor = opened[0], Visitor()
    viewer.box_tool.toggle()
    viewer.panel._never_mind(visitor)
    assert not viewer.box_tool.armed
    viewer.panel._never_mind(visitor)
    assert not viewer.box_tool.armed


def test_the_key_for_the_keys_closes_them_too(opened):
    viewer = opened[0]
    client = next(iter(viewer.server.get_clients().values()))
    keys, open_windows = viewer.panel._keys, client.gui._modal_handle_from_uuid
    for _ in range(2):
        keys.toggle(client)
        assert len(open_windows) == 1
        keys.toggle(client)
        assert not open_windows
    keys.toggle(client)
    viewer.panel._never_mind(client)
    assert not open_windows


def test_work_that_cannot_be_saved_is_said_for_as_long_as_that_is_so(opened):
    viewer = opened[0]
    viewer.desk.unsaved = "The folder /nowhere cannot be made."
    viewer.panel.refresh()
    assert "Not saved: The folder /nowhere cannot be made" in viewer.panel._facts.content


def test_a_refusal_can_be_overruled_only_while_it_is_read(opened):
    viewer, session, _, box = opened
    outcome = viewer.panel.outcome
    session.upgrade(box).result(5)
    session._upgrade = repainting((0.2, 0.2, 0.8), accepted=False)
    session.upgrade(box).result(5)
    assert soon(lambda: outcome.force.visible)
    session.undo()
    assert soon(lambda: "Took back" in outcome.line.content)
    viewer.panel.refresh()
    assert not outcome.force.visible


def test_undo_under_an_upgrade_at_work_is_told_at_once_and_redo_mends_it(opened, held):
    viewer, session, _, box = opened
    section = viewer.panel.upgrade
    held.set()
    session.upgrade(box).result(5)
    held.clear()
    job = section.run("split", whole=True)
    assert soon(lambda: job.status.fraction > 0.4)  # it is at work
    session.undo()
    assert "was begun on what you took back: Redo, or it waits for that." in section._progress.content
    time.sleep(0.3)  # some reports later
    assert "Redo, or it waits for that." in section._progress.content
    session.redo()
    assert "waits for that" not in section._progress.content
    session.hide_region(1)
    assert "was begun on what is gone: Undo, or it waits for that." in section._progress.content
    section._stop()
    assert job.wait(5)
    assert soon(lambda: not section._progress.visible)


def test_a_finished_upgrade_whose_splats_are_gone_is_offered_until_it_is_applied(opened):
    viewer, session, _, box = opened
    outcome, begun, gate = viewer.panel.outcome, threading.Event(), threading.Event()

    def held(request, report):
        begun.set()
        gate.wait(5)
        return repainting((0.2, 0.2, 0.8))(request, report)

    session.upgrade(box).result(5)
    session._upgrade = held
    viewer.panel.upgrade.run("fit-scene", whole=True)
    assert begun.wait(5)
    session.undo()
    gate.set()
    assert soon(lambda: "have changed since" in outcome.line.content)
    assert soon(lambda: outcome.force.visible)
    assert outcome.waits.visible
    assert "Fit whole scene" in outcome.waits.content
    assert "box" not in outcome.line.content + outcome.waits.content
    session.redo()
    assert soon(lambda: "Made Region 1 again" in outcome.line.content)
    assert outcome.force.visible
    assert session.force().applied
    assert soon(lambda: "Swapped in" in outcome.line.content)
    assert not outcome.force.visible
    assert not outcome.waits.visible


def test_undoing_is_told_as_what_it_does(opened):
    viewer, session, _, box = opened
    said = viewer.panel.outcome.line
    session.upgrade(box).result(5)
    session.rename_region(1, "Leaf")
    for change, done, undone in (
        (session.hide_region, "Hid Leaf.", "Shows Leaf again."),
        (session.remove_region, "Removed Leaf.", "Leaf is back."),
    ):
        change(1)
        assert soon(lambda done=done: said.content == done)
        session.undo()
        assert soon(lambda undone=undone: said.content == undone)
        session.redo()
        assert soon(lambda done=done: said.content == done)
        session.undo()
    session.undo()
    assert soon(lambda: said.content == "Took back Leaf.")
    session.redo()
    assert soon(lambda: said.content == "Made Leaf again.")


def test_another_method_tried_on_a_region_answers_where_it_was_asked_for(opened, held):
    viewer, session, _, box = opened
    regions, line = viewer.panel.regions, viewer.panel.regions._tried_line
    held.set()
    session.upgrade(box).result(5)
    held.clear()
    trying = threading.Thread(target=regions._tried, args=(regions.region, "split"))
    trying.start()
    assert soon(lambda: "Sharpen shows how far" in line.content)
    held.set()
    trying.join(5)
    assert "N flips them" in line.content
    session._upgrade = repainting((0.2, 0.2, 0.8), accepted=False)
    regions._tried(regions.region, "split")
    assert "was not swapped in" in line.content


def test_what_came_of_another_method_stands_only_under_the_region_and_the_versions_it_is_about(opened):
    viewer, session, _, box = opened
    regions, line = viewer.panel.regions, viewer.panel.regions._tried_line
    session.upgrade(box).result(5)
    regions._tried(regions.region, "split")
    assert "N flips them" in line.content
    regions.next_version()
    assert line.visible
    session.undo()
    session.undo()
    assert not line.visible
    regions._tried(regions.region, "split")
    assert line.visible
    session.upgrade(box).result(5)
    assert regions.region.number == 2
    assert not line.visible


def test_what_came_of_another_method_is_not_said_under_a_region_chosen_meanwhile(opened, held):
    viewer, session, browser, box = opened
    regions, line = viewer.panel.regions, viewer.panel.regions._tried_line
    held.set()
    for _ in range(2):
        session.upgrade(box).result(5)
    session.hide_region(2)
    browser.type_into(regions._chosen, "Region 1")
    assert soon(lambda: regions.region.number == 1)
    held.clear()
    trying = threading.Thread(target=regions._tried, args=(regions.region, "split"))
    trying.start()
    assert soon(lambda: "Sharpen shows how far" in line.content)
    browser.type_into(regions._chosen, "Region 2")
    assert soon(lambda: regions.region.number == 2)
    held.set()
    trying.join(5)
    assert not line.visible


def test_an_empty_intersection_is_not_called_an_empty_box(opened):
    viewer, session, *_ = opened
    boxed(opened)
    nothing = Region(torch.zeros(1, dtype=torch.bool), torch.zeros(1))
    picks = session.selection.picks * 2
    session._set_selection(dataclasses.replace(session.selection, region=nothing, picks=picks))
    assert "Nothing is left" in viewer.panel.select._line.content
