"""Regions can be hidden, removed, flipped and named, in any order, and undo takes all of it back bit for bit."""

import dataclasses
import time

import pytest
import torch
from fakes import BAD, BOX, Scripted, patch_of, random_scene, result_of, same_bits, session_of

from gaussian_lens_app.errors import MethodError
from gaussian_lens_app.evaluation.judge import Verdict
from gaussian_lens_app.scene import Kind, Patch
from gaussian_lens_app.session import RegionsChanged
from gaussian_lens_app.session.arrangement import builds_on
from gaussian_lens_app.session.history import Edited, make_edit


def replacing(rows, seed, **provenance):
    """A maker of a result that takes out the rows at these indices of the scene it meets and puts two in."""

    def make(request):
        patch = patch_of(rows, random_scene(2, seed=seed), [rows[0], -1] if rows else [-1, -1])
        patch.provenance.update(provenance)
        return result_of(request.scene, patch)

    return make


def upgraded(*makers, count=10):
    session = session_of(random_scene(count), Scripted(*makers))
    for _ in makers:
        session.upgrade(BOX).result(5)
    return session


@pytest.fixture
def apart():
    """Two upgrades that have nothing to do with each other: the second takes old rows."""
    session = upgraded(replacing([0, 1], 1), replacing([0, 1], 2))
    yield session
    session.close()


@pytest.fixture
def nested():
    """The second upgrade takes out a row that the first put in."""
    session = upgraded(replacing([0, 1], 1), replacing([9], 2))
    yield session
    session.close()


def as_set(scene):
    return sorted(map(tuple, scene.means.tolist()))


def test_each_upgrade_is_a_region_with_its_figures(apart):
    first, second = apart.regions
    assert (first.number, second.number) == (1, 2)
    assert first.current.outcome.verdict.photo == "photo_02.png"
    assert first.current.outcome.added == 1
    assert apart.work.name(1) == "Region 1"


def test_hiding_the_earlier_region_leaves_the_later_one(apart):
    full = apart.scene
    only_second = session_of(random_scene(10), Scripted(replacing([2, 3], 2)))
    only_second.upgrade(BOX).result(5)
    apart.hide_region(1)
    assert not apart.regions[0].shown
    assert as_set(apart.scene) == as_set(only_second.scene)
    apart.undo()
    assert same_bits(apart.scene, full)
    only_second.close()


def test_a_hidden_region_comes_back(apart):
    full = as_set(apart.scene)
    apart.hide_region(1)
    apart.show_region(1)
    assert as_set(apart.scene) == full
    assert all(region.shown for region in apart.regions)


def test_removing_takes_it_out_of_the_list_and_undo_brings_it_back(apart):
    full = apart.scene
    apart.remove_region(1)
    assert [region.number for region in apart.regions] == [2]
    apart.undo()
    assert [region.number for region in apart.regions] == [1, 2]
    assert same_bits(apart.scene, full)


def test_what_stands_on_a_region_is_named(nested):
    nested.rename_region(2, "The stem")
    with pytest.raises(MethodError, match="The stem stands on it"):
        nested.remove_region(1)
    assert nested.work.dependents(1) == ("The stem",)
    assert nested.work.parents(2) == ("Region 1",)
    nested.remove_region(2)
    nested.remove_region(1)
    assert same_bits(nested.scene, nested.original.scene)


def test_both_go_together_when_asked(nested):
    full = nested.scene
    nested.remove_region(1, with_dependents=True)
    assert nested.regions == ()
    assert same_bits(nested.scene, nested.original.scene)
    nested.undo()
    assert same_bits(nested.scene, full)


def test_a_region_whose_ground_is_hidden_cannot_be_shown(nested):
    nested.hide_region(1, with_dependents=True)
    assert [region.shown for region in nested.regions] == [False, False]
    with pytest.raises(MethodError, match="The splats that Region 2 was made for are not there now: show what"):
        nested.show_region(2)
    assert same_bits(nested.scene, nested.original.scene)


def hidden_under(*makers):
    """An upgrade of the whole scene, hidden, and further upgrades of what it was made for."""
    session = session_of(random_scene(10), Scripted(replacing(range(10), 1), *makers))
    session.upgrade(None, "fit-scene").result(5)
    session.hide_region(1)
    for _ in makers:
        session.upgrade(BOX).result(5)
    return session


@pytest.mark.parametrize(
    ("makers", "told"),
    [
        ([replacing([2], 2)], "Region 2 took out splats that Whole scene 1 needs: hide it first."),
        (
            [replacing([2], 2), replacing([3], 3)],
            "Region 2 and Region 3 took out splats that Whole scene 1 needs: hide them first.",
        ),
    ],
    ids=["one", "two"],
)
def test_what_stands_in_the_way_of_a_hidden_region_is_named_and_once_it_is_hidden_the_region_is_shown(makers, told):
    session = hidden_under(*makers)
    with pytest.raises(MethodError) as refused:
        session.show_region(1)
    assert str(refused.value) == told
    for region in session.regions[1:]:
        session.hide_region(region.number)
    session.show_region(1)
    assert session.regions[0].shown
    session.close()


def test_an_edit_by_hand_in_the_way_of_a_hidden_region_can_only_be_undone():
    session = hidden_under()
    session.delete_splats(lambda edited: torch.arange(10) == 4, "Specks removed")
    with pytest.raises(MethodError) as refused:
        session.show_region(1)
    assert str(refused.value) == "Specks removed took out splats that Whole scene 1 needs: only Undo brings them back."
    session.undo()
    session.show_region(1)
    session.close()


def test_alternatives_of_a_region_start_from_the_same_scene_and_can_be_flipped():
    session = session_of(random_scene(10), Scripted(replacing([0], 1), replacing([0, 1], 2)))
    session.upgrade(BOX, "refine").result(5)
    one = session.scene
    session.upgrade_again(1, "fit-only").result(5)
    two = session.scene
    assert len(session.regions) == 1
    assert [a.method for a in session.regions[0].alternatives] == ["refine", "fit-only"]
    assert len(two) == 10
    session.flip_region(1, 0)
    assert same_bits(session.scene, one)
    session.flip_region(1, 1)
    assert same_bits(session.scene, two)
    session.undo()
    assert same_bits(session.scene, one)
    session.close()


def judged(make, gain, photo="photo_02.png", noise=0.2):
    """The same result with another verdict."""
    verdict = Verdict(True, True, gain, noise, photo, f"Sharper: {gain:+.2f} dB.")
    return lambda request: dataclasses.replace(make(request), verdict=verdict)


def tried_after(first, second, hidden=False):
    session = session_of(random_scene(10), Scripted(first, second))
    session.upgrade(BOX, "refine").result(5)
    before = session.scene
    if hidden:
        session.hide_region(1)
    return session, before, session.upgrade_again(1, "fit-only").result(5)


def test_a_version_that_is_worse_than_the_shown_one_waits_beside_it():
    session, before, outcome = tried_after(judged(replacing([0], 1), 3.9), judged(replacing([0, 1], 2), 1.2))
    assert outcome.applied
    assert outcome.beaten_by == "refine"
    assert same_bits(session.scene, before)
    assert [one.method for one in session.regions[0].alternatives] == ["refine", "fit-only"]
    assert session.regions[0].chosen == 0
    session.flip_region(1, 1)
    assert not same_bits(session.scene, before)
    session.flip_region(1, 0)
    assert same_bits(session.scene, before)
    for _ in range(3):
        session.undo()
    assert len(session.regions[0].alternatives) == 1
    session.redo()
    assert len(session.regions[0].alternatives) == 2
    assert same_bits(session.scene, before)
    session.close()


@pytest.mark.parametrize(
    ("gain", "photo", "hidden"),
    [(3.8, "photo_02.png", False), (1.2, "photo_03.png", False), (1.2, "photo_02.png", True)],
    ids=["within the noise", "measured on another photo", "nothing shown"],
)
def test_a_version_that_no_shown_one_beats_is_swapped_in(gain, photo, hidden):
    second = judged(replacing([0, 1], 2), gain, photo)
    session, before, outcome = tried_after(judged(replacing([0], 1), 3.9), second, hidden)
    assert outcome.beaten_by is None
    assert session.regions[0].chosen == 1
    assert not same_bits(session.scene, before)
    session.close()


def test_undo_through_hiding_flipping_and_upgrading_gives_every_scene_back():
    session = session_of(random_scene(10), Scripted(replacing([0], 1), replacing([1], 2), replacing([2], 3)))
    seen = [session.scene]

    def step(action):
        action()
        seen.append(session.scene)

    step(lambda: session.upgrade(BOX).result(5))
    step(lambda: session.upgrade(BOX).result(5))
    step(lambda: session.hide_region(1))
    step(lambda: session.upgrade(BOX).result(5))
    step(lambda: session.show_region(1))
    step(lambda: session.remove_region(2))
    for scene in reversed(seen[:-1]):
        session.undo()
        assert same_bits(session.scene, scene)
    for scene in seen[1:]:
        session.redo()
        assert same_bits(session.scene, scene)
    session.close()


def test_a_name_is_told_and_an_empty_one_gives_the_number_back(apart):
    told = []
    apart.subscribe(told.append)
    apart.rename_region(1, "  Leaf ")
    assert apart.work.name(1) == "Leaf"
    assert any(isinstance(event, RegionsChanged) for event in told)
    apart.rename_region(1, " ")
    assert apart.work.name(1) == "Region 1"


def test_no_two_regions_are_called_the_same(apart):
    apart.rename_region(1, "Leaf")
    apart.rename_region(2, "Leaf")
    assert [apart.work.name(number) for number in (1, 2)] == ["Leaf", "Leaf (2)"]
    apart.rename_region(2, "Leaf")
    assert apart.work.name(2) == "Leaf (2)"
    apart.rename_region(1, "Region 2")
    apart.rename_region(2, "")
    assert len({apart.work.name(1), apart.work.name(2)}) == 2
    apart.rename_region(1, "Region 1")
    assert apart.work.name(1) == "Region 1"


@pytest.mark.parametrize("word", ["Whole scene", "Selection", "Region 3", "Whole scene 3"])
def test_no_region_is_called_as_other_parts_are_or_as_later_regions_will_be(apart, word):
    apart.rename_region(1, word)
    assert apart.work.name(1) == f"{word} (2)"


def test_every_splat_knows_where_it_comes_from():
    session = upgraded(replacing([0], 1, photos=["a"]), replacing([1], 2, kind="learned"), replacing([2], 3), count=8)
    kinds, regions = session.edited.rows.kinds, session.edited.rows.regions
    for number, kind in ((1, Kind.FITTED), (2, Kind.LEARNED), (3, Kind.INVENTED)):
        assert kinds[regions == number].tolist() == [kind, kind]
    assert kinds[regions == 0].tolist() == [Kind.INPUT] * 5
    session.undo()
    assert not bool((session.edited.rows.kinds == Kind.INVENTED).any())
    session.close()


def test_parts_of_a_splat_are_of_its_kind():
    def halved(row):
        def make(request):
            patch = patch_of([row], request.scene.take(torch.tensor([row, row])), [row, row])
            patch.provenance["kind"] = "inherited"
            return result_of(request.scene, patch)

        return make

    session = upgraded(replacing([0], 1), halved(2), halved(7), count=8)  # row 7 is then the first's
    kinds, regions = session.edited.rows.kinds, session.edited.rows.regions
    assert kinds[regions == 2].tolist() == [Kind.INPUT] * 2
    assert kinds[regions == 3].tolist() == [Kind.INVENTED] * 2
    session.close()


def test_what_a_network_made_and_no_photo_confirmed_is_invented():
    import dataclasses

    def unverified(request):
        patch = patch_of([0], random_scene(1))
        patch.provenance["kind"] = "learned"
        return result_of(request.scene, patch, dataclasses.replace(BAD, accepted=True, verified=False))

    session = upgraded(unverified)
    assert session.edited.rows.kinds[-1] == Kind.INVENTED
    session.close()


def test_splats_of_a_kind_can_be_removed_and_undone():
    session = upgraded(replacing([0], 1), replacing([1], 2, photos=["a"]))
    full = session.scene
    session.delete_splats(lambda now: now.rows.kinds == Kind.INVENTED, "Invented splats removed")
    assert len(session.scene) == len(full) - 2
    with pytest.raises(MethodError, match="Invented splats removed stands on it"):
        session.hide_region(1)
    session.undo()
    assert same_bits(session.scene, full)
    with pytest.raises(MethodError, match="nothing to remove"):
        session.delete_splats(lambda _: torch.zeros(len(full), dtype=torch.bool), "nothing")
    session.close()


def test_what_was_done_by_hand_on_a_region_is_named_before_hiding_takes_it_along(nested):
    nested.delete_splats(lambda now: now.rows.regions == 2, "Some removed")
    assert set(nested.work.dependents(1)) == {"Region 2", "Some removed"}
    assert nested.work.lost_by_hiding(1) == ("Some removed",)
    assert nested.work.lost_by_hiding(2) == ("Some removed",)
    count = len(nested.scene)
    nested.hide_region(1, with_dependents=True)
    nested.undo()
    assert len(nested.scene) == count


def test_what_was_done_by_hand_and_went_with_a_region_is_known_by_name_when_it_is_shown_again(nested):
    nested.delete_splats(lambda edited: edited.ids == edited.ids[-1], "Some removed")
    kept = nested.scene
    assert nested.work.not_brought_back(2) == ()
    nested.hide_region(2, with_dependents=True)
    nested.show_region(2)
    assert len(nested.scene) == len(kept) + 1
    assert nested.work.not_brought_back(2) == ("Some removed",)
    assert nested.work.not_brought_back(1) == ()
    nested.undo()
    nested.undo()
    assert same_bits(nested.scene, kept)
    assert nested.work.not_brought_back(2) == ()


def edits_of_all_rows(count):
    """Two edits, the second of all that the first put in."""
    rows, scene = torch.arange(count), Edited.original(random_scene(count))
    first = make_edit(1, "first", Patch(rows, scene.scene, rows), None, scene, count)
    after = first.redo(scene)
    return first, make_edit(2, "second", Patch(rows, after.scene, rows), None, after, 2 * count)


def test_what_stands_on_what_is_found_by_ranges_of_names_and_not_by_sorting_them():
    first, second = edits_of_all_rows(300_000)
    began = time.perf_counter()
    assert bool(torch.isin(second.before.ids, first.after.ids).any())
    sorting, began = time.perf_counter() - began, time.perf_counter()
    assert builds_on(second, first)
    assert not builds_on(first, second)
    assert time.perf_counter() - began < sorting / 3


def test_nothing_stands_on_an_edit_that_put_nothing_in(nested):
    nested.delete_splats(lambda edited: edited.rows.regions == 1, "Removed")
    gone = nested.history[-1]
    assert not any(builds_on(edit, gone) for edit in nested.history)
