"""What the panel says and keeps while people type, wait and look."""

import dataclasses
import threading
import time

import numpy as np
import pytest
import torch
from fakes_visitor import Visitor
from flat import dot, repainting, soon

from gaussian_lens_app.scene import Gaussians, Kind, Patch
from gaussian_lens_app.session import Combine
from gaussian_lens_app.upgrade import UpgradeResult
from gaussian_lens_app.viewer.box_tool import PickOptions
from gaussian_lens_app.viewer.outline import locate
from gaussian_lens_app.viewer.panels.help import KEYS
from gaussian_lens_app.viewer.theme import set_theme


def test_a_name_may_be_typed_letter_by_letter_with_spaces_and_from_an_empty_field(opened):
    viewer, session, browser, box = opened
    session.upgrade(box).result(5)
    field, words = viewer.panel.regions._name, "The stem"
    for length in range(len(words) + 1):
        browser.type_into(field, words[:length])
        assert soon(lambda part=words[:length]: session.work.name(1) == (part.strip() or "Region 1"))
        browser.last_frame(0.05, 0.1)
        assert field.value == words[:length]


def test_the_part_to_export_stays_chosen_whatever_it_is_called_and_whatever_becomes_of_it(opened):
    viewer, session, browser, box = opened
    section = viewer.panel.export
    session.upgrade(box).result(5)
    session.upgrade(box).result(5)
    browser.type_into(section._part, "Region 2")
    assert soon(lambda: (section.settings.part, section.settings.region) == ("region", 2))
    session.rename_region(2, "The stem")
    assert section._part.value == "The stem"
    assert section.settings.region == 2
    session.rename_region(1, "Selection")
    assert section.settings.region == 2
    session.remove_region(2)
    assert section._part.value == "The stem"
    assert section.settings.region == 2
    browser.type_into(section._part, "Whole scene")
    assert soon(lambda: section.settings.part == "scene")
    viewer.panel.refresh()
    assert len(section._part.options) == 3


def test_a_part_that_is_gone_is_not_exported_as_something_else(opened, tmp_path):
    viewer, session, browser, box = opened
    viewer.desk.exports, visitor = tmp_path, Visitor()
    session.upgrade(box).result(5)
    browser.type_into(viewer.panel.export._part, "Region 1")
    assert soon(lambda: viewer.panel.export.settings.region == 1)
    session.undo()
    viewer.panel.export.write(visitor)
    assert [title for title, _ in visitor.told] == ["Not exported"]
    assert list(tmp_path.iterdir()) == []


def test_each_of_two_regions_given_one_name_can_be_chosen(opened):
    viewer, session, browser, box = opened
    for number in (1, 2):
        session.upgrade(box).result(5)
        session.rename_region(number, "Leaf")
    dropdown = viewer.panel.regions._chosen
    for number, name in ((1, "Leaf"), (2, "Leaf (2)"), (1, "Leaf")):
        browser.type_into(dropdown, name)
        assert soon(lambda number=number: viewer.panel.regions.region.number == number)
        assert soon(lambda name=name: viewer.panel.regions._name.value == name)  # all of the panel shows it


def test_the_verdict_on_the_last_upgrade_is_gone_while_the_next_one_runs(opened):
    viewer, session, _, box = opened
    session.upgrade(box).result(5)
    said, gate = viewer.panel.outcome.line, threading.Event()
    assert "Swapped in" in said.content

    def held(request, report):
        gate.wait(5)
        return repainting((0.2, 0.2, 0.8))(request, report)

    session._upgrade = held
    viewer.panel.upgrade.run("refine", box=box)
    assert not said.visible
    gate.set()
    viewer.panel.upgrade.jobs[-1].result(5)
    assert soon(lambda: said.visible and "Swapped in" in said.content)


def test_what_was_refused_is_not_offered_while_the_next_upgrade_runs(opened):
    """Without its verdict nobody could tell what would be applied."""
    viewer, session, _, box = opened
    session._upgrade = repainting((0.2, 0.2, 0.8), accepted=False)
    session.upgrade(box).result(5)
    force, gate = viewer.panel.outcome.force, threading.Event()
    assert soon(lambda: force.visible)

    def held(request, report):
        gate.wait(5)
        return repainting((0.2, 0.2, 0.8))(request, report)

    session._upgrade = held
    viewer.panel.upgrade.run("refine", box=box)
    viewer.panel.refresh()
    assert not force.visible
    gate.set()
    viewer.panel.upgrade.jobs[-1].result(5)


def test_only_origins_that_are_there_can_be_left_out_or_removed(opened):
    viewer, session, _, box = opened
    section = viewer.panel.provenance
    assert not section._remove.visible
    assert not any(shown.visible for shown in section._shown.values())

    def fitted(request, report):
        patch = Patch(torch.tensor([], dtype=torch.long), dot((0, 1, 0)), torch.tensor([-1]))
        patch.provenance["kind"] = "fitted"
        whole = repainting((0, 1, 0))(request, report)
        return UpgradeResult(patch, whole.region, whole.verdict, whole.seconds)

    session._upgrade = fitted
    session.upgrade(box).result(5)
    assert [kind for kind, shown in section._shown.items() if shown.visible] == [Kind.FITTED]
    assert list(section._kind.options) == ["fitted"]
    assert section._remove.visible
    section._remove_kind(None)
    assert len(session.scene) == 1
    assert not section._remove.visible
    session.undo()
    assert len(session.scene) == 2


def test_what_stands_on_a_region_is_asked_about_in_a_note_that_goes_away(opened):
    """It is a question and no error: nothing stays on the picture."""
    viewer, session, browser, box = opened
    session.upgrade(box).result(5)
    session.upgrade(box).result(5)
    viewer.panel.regions._number = 1
    viewer.panel.regions._take_out("remove", next(iter(viewer.server.get_clients().values())))
    assert viewer.panel.regions._remove.label == "Remove with Region 2"
    browser.last_frame(0.2, 0.5)
    notes = [m["props"] for m in browser.messages if m["type"] == "NotificationShowMessage"]
    assert "Region 2 stands on it" in notes[-1]["title"]
    assert notes[-1]["auto_close_seconds"]


def in_place_of_one(count: int):
    """An upgrade that puts so many splats in for one: some can be deleted by hand."""

    def upgrade(request, report):
        whole = repainting((0, 1, 0))(request, report)
        added = Gaussians.concat([whole.patch.added] * count)
        patch = dataclasses.replace(whole.patch, added=added, parents=torch.zeros(count, dtype=torch.long))
        return dataclasses.replace(whole, patch=patch)

    return upgrade


def delete_last(session, name: str) -> None:
    session.delete_splats(lambda edited: torch.arange(len(edited.ids)) == len(edited.ids) - 1, name)


def test_what_was_deleted_by_hand_is_named_before_its_region_goes_and_when_it_comes_back(opened):
    viewer, session, _, box = opened
    regions, visitor = viewer.panel.regions, Visitor()
    session._upgrade = in_place_of_one(2)
    session.upgrade(box).result(5)
    delete_last(session, "Some removed")
    regions._toggle(visitor)
    assert "What you did by hand goes with it, everywhere" in visitor.told[-1][1]
    assert "only Undo brings it back: Some removed." in visitor.told[-1][1]
    regions._take_out("remove", visitor)
    assert "only Undo brings it back: Some removed." in visitor.told[-1][1]
    regions._toggle(visitor)
    regions._toggle(visitor)
    assert not session.regions[0].shown
    regions._toggle(visitor)
    assert len(session.scene) == 2
    assert "Shows Region 1 again, but not with: Some removed." in viewer.panel.outcome.line.content
    session.undo()
    session.undo()
    assert len(session.scene) == 1


def test_what_came_to_stand_on_a_region_since_it_was_asked_about_is_asked_about_anew(opened):
    viewer, session, _, box = opened
    regions, visitor = viewer.panel.regions, Visitor()
    session._upgrade = in_place_of_one(4)
    session.upgrade(box).result(5)
    delete_last(session, "One removed")
    regions._toggle(visitor)
    assert regions._hide.label == "Hide with One removed"
    delete_last(session, "Another removed")
    assert regions._hide.label == "Hide it"
    regions._toggle(visitor)
    assert session.regions[0].shown
    assert "One removed, Another removed" in visitor.told[-1][1]
    regions._toggle(visitor)
    assert not session.regions[0].shown


def test_fly_to_it_brings_the_camera_to_the_region_and_its_frame_around_it(opened):
    viewer, session, browser, box = opened
    session.upgrade(box).result(5)
    client = next(iter(viewer.server.get_clients().values()))
    dragged = viewer.box_tool.target
    viewer.panel.regions._fly_to(client)
    target = locate(session.scene, box, session.rasterizer, session.mode)
    assert target is not None
    assert viewer.box_tool.target is dragged  # what Upgrade is about
    assert viewer.flights.away(client.client_id)
    assert soon(lambda: np.allclose(viewer.flights.pose(client).look_at, target.centre, atol=1e-3))
    browser.last_frame(0.2)


def test_the_ways_of_selecting_reach_the_next_box(opened):
    viewer, session, browser, _ = opened
    select, asked = viewer.panel.select, []
    session.select = lambda *args: asked.append(args)
    browser.type_into(select._how, "Intersect")
    browser.type_into(select._through, True)
    browser.type_into(select._limited, True)
    browser.type_into(select._depth, 1.5)
    assert soon(lambda: viewer.box_tool.options == PickOptions(Combine.INTERSECT, True, 1.5))
    assert select._depth.visible
    browser.drag(0.2, 0.2, 0.6, 0.6)
    assert soon(lambda: bool(asked))
    assert asked[0][1:] == (True, Combine.INTERSECT, 1.5)
    browser.type_into(select._limited, False)
    assert soon(lambda: viewer.box_tool.options.depth is None)


def test_every_key_is_listed_and_none_of_them_moves_the_camera(opened):
    viewer, *_ = opened
    commands = [handle._impl.props for handle in viewer.server.gui._command_handle_from_uuid.values()]
    keys = {command.hotkey for command in commands if command.modifier is None}
    assert len(keys) == sum(command.modifier is None for command in commands) > 5
    assert not keys & set("WASDQE")
    listed = [line.split("|")[1].strip() for line in KEYS.strip().splitlines()]
    assert keys <= set(listed)
    assert "Ctrl + Z, Ctrl + Shift + Z" in listed


def test_antialiasing_is_switched_for_all_that_is_drawn(opened):
    viewer, session, browser, _ = opened
    assert session.mode.antialiased
    browser.type_into(viewer.panel.looking._smooth, False)
    assert soon(lambda: not session.mode.antialiased)


def luminance(color: str) -> float:
    """Relative luminance of #rrggbb, as WCAG 2 defines it."""
    channels = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("dark", "shade", "paper"), [(True, 8, "#242424"), (False, 6, "#ffffff")])
def test_the_brands_letters_can_be_read_on_a_dark_and_on_a_light_panel(opened, dark, shade, paper):
    viewer, _, browser, _ = opened
    browser.messages.clear()
    set_theme(viewer.server, dark)
    browser.last_frame(0.3, 0.5)
    theme = [m for m in browser.messages if m["type"] == "ThemeConfigurationMessage"][-1]
    assert theme["dark_mode"] == dark
    bright, dim = sorted((luminance(theme["colors"][shade]), luminance(paper)), reverse=True)
    assert (bright + 0.05) / (dim + 0.05) > 4.5


def test_of_two_ways_of_showing_it_asked_for_at_once_both_count(opened, monkeypatch):
    viewer, *_ = opened
    replace = dataclasses.replace

    def slowly(looks, **changes):
        time.sleep(0.1)
        return replace(looks, **changes)

    monkeypatch.setattr("gaussian_lens_app.viewer.display.dataclasses.replace", slowly)
    asked = [{"tint_kinds": True}, {"missing": True}]
    threads = [threading.Thread(target=viewer.display.set, kwargs=changes) for changes in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert viewer.display.looks.tint_kinds
    assert viewer.display.looks.missing
