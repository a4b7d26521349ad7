"""What an upgrade was made on is kept with it, so that a project always opens again."""

import json

import pytest
import torch
from fakes import BOX, patch_of, random_scene, result_of, same_bits
from test_project import replacing, session_on

from gaussian_lens_app import formats
from gaussian_lens_app.errors import MethodError
from gaussian_lens_app.scene import Patch
from gaussian_lens_app.session.close_views import CLOSE_VIEWS, CLOSE_VIEWS_NAME
from gaussian_lens_app.session.project import new_project, open_project


@pytest.fixture
def scene(tmp_path):
    path = tmp_path / "scene.ply"
    formats.save(path, random_scene(10))
    return path


def appending(request):
    """A result that takes out the two rows put in last and puts in others."""
    last = len(request.scene) - 1
    return result_of(request.scene, patch_of([last - 1, last], random_scene(2, seed=last), [last, -1]))


def readied(session):
    """The same scene with every row another, as after readying it for close views."""
    rows = torch.arange(len(session.scene))
    session._stepped(
        CLOSE_VIEWS, session.work.by_hand(Patch(rows, session.scene, rows, rows), CLOSE_VIEWS_NAME, CLOSE_VIEWS)
    )


def reopened(folder):
    session, _ = open_project(folder, "cpu")
    return session


def numbers(session):
    return [region.number for region in session.regions]


def test_undoing_all_of_a_reopened_project_leaves_one_that_opens(scene, tmp_path):
    session = session_on(scene, replacing([0, 1], 1))
    folder = new_project(tmp_path / "work", scene, None, session).folder
    readied(session)
    session.upgrade(BOX).result(5)
    session.close()
    for _ in range(2):
        again = reopened(folder)
        while again.undo() is not None:
            pass
        assert numbers(again) == []
        assert same_bits(again.scene, again.original.scene)
        again.close()


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_undone_steps_made_again_give_the_same_scene_and_regions(scene, tmp_path, steps):
    session = session_on(scene, replacing([0, 1], 1), replacing([2, 3], 2), replacing([0], 3))
    folder = new_project(tmp_path / "work", scene, None, session).folder
    readied(session)
    for _ in range(3):
        session.upgrade(BOX).result(5)
    session.hide_region(2)
    again = reopened(folder)
    for _ in range(steps):
        again.undo()
    for _ in range(steps):
        again.redo()
    assert same_bits(again.scene, session.scene)
    assert [(r.number, r.shown) for r in again.regions] == [(r.number, r.shown) for r in session.regions]
    again.show_region(2)
    again.close()
    session.close()


def test_a_hidden_region_keeps_what_it_was_made_on_until_it_is_gone_itself(scene, tmp_path):
    session = session_on(scene, replacing([0, 1], 1), appending)
    folder = new_project(tmp_path / "work", scene, None, session).folder
    session.upgrade(BOX).result(5)
    session.upgrade(BOX).result(5)
    session.hide_region(1, with_dependents=True)
    with pytest.raises(MethodError, match="Region 1 cannot be removed alone: Region 2 stands on it"):
        session.remove_region(1)
    again = reopened(folder)
    assert numbers(again) == [1, 2]
    with pytest.raises(MethodError, match="Region 2 stands on it"):
        again.remove_region(1)
    again.remove_region(1, with_dependents=True)
    assert numbers(again) == []
    again.undo()
    again.show_region(1)
    again.show_region(2)
    full = again.scene
    again.close()
    again = reopened(folder)
    assert same_bits(again.scene, full)
    again.close()
    session.close()


def test_a_region_on_another_version_of_a_region_goes_with_it(scene, tmp_path):
    session = session_on(scene, replacing([0, 1], 1), appending, replacing([0], 4))
    folder = new_project(tmp_path / "work", scene, None, session).folder
    session.upgrade(BOX).result(5)
    session.upgrade(BOX).result(5)
    session.hide_region(2)
    session.upgrade_again(1, "fit-only").result(5)
    with pytest.raises(MethodError, match="Region 2 stands on it"):
        session.remove_region(1)
    reopened(folder).close()
    session.remove_region(1, with_dependents=True)
    again = reopened(folder)
    assert numbers(again) == []
    again.close()
    session.undo()
    session.flip_region(1, 0)
    session.show_region(2)
    again = reopened(folder)
    assert same_bits(again.scene, session.scene)
    again.close()
    session.close()


def test_only_the_version_that_stood_on_a_removed_region_goes(scene, tmp_path):
    session = session_on(scene, replacing([0, 1], 1), appending, replacing([0], 4))
    folder = new_project(tmp_path / "work", scene, None, session).folder
    session.upgrade(BOX).result(5)
    session.upgrade(BOX).result(5)
    session.upgrade_again(2, "fit-only").result(5)
    session.remove_region(1, with_dependents=True)
    assert [(r.number, r.shown, r.current.method) for r in session.regions] == [(2, True, "fit-only")]
    assert len(session.regions[0].alternatives) == 1
    again = reopened(folder)
    assert same_bits(again.scene, session.scene)
    again.close()
    session.close()


def test_an_edit_without_a_region_is_kept_while_a_hidden_region_needs_it(scene, tmp_path):
    session = session_on(scene, replacing([0, 1], 1), replacing([0, 1], 2))
    folder = new_project(tmp_path / "work", scene, None, session).folder
    session.upgrade(BOX).result(5)
    readied(session)
    session.upgrade(BOX).result(5)
    session.hide_region(1, with_dependents=True)
    session.close()
    for _ in range(2):
        again = reopened(folder)
        assert numbers(again) == [1, 2]
        assert again.notes == ()
        again.rename_region(1, "Leaf")
        again.close()


def test_a_region_whose_ground_is_missing_is_left_out_and_named(scene, tmp_path):
    session = session_on(scene, replacing([0, 1], 1), appending, replacing([4], 3))
    folder = new_project(tmp_path / "work", scene, None, session).folder
    for _ in range(3):
        session.upgrade(BOX).result(5)
    session.hide_region(1, with_dependents=True)
    session.rename_region(2, "Leaf")
    session.close()
    data = json.loads((folder / "project.json").read_text())
    data["edits"] = [edit for edit in data["edits"] if edit["key"] != 1]
    data["regions"] = [region for region in data["regions"] if region["number"] != 1]
    (folder / "project.json").write_text(json.dumps(data))
    again = reopened(folder)
    assert numbers(again) == [3]
    assert again.notes == ("Leaf was left out: the splats it was made on are not in the project.",)
    again.close()
    again = reopened(folder)
    assert again.notes == ()
    again.close()
