"""The laws of undo and redo, on whatever edits come."""

import torch
from fakes import BAD, BOX, Scripted, patch_of, random_scene, result_of, same_bits, session_of
from hypothesis import given, settings
from hypothesis import strategies as st


@st.composite
def edits(draw):
    """What a few edits in a row are made from; seed 0 is the scene's own."""
    return [
        (draw(st.floats(0, 1)), draw(st.integers(0, 9)), draw(st.integers(0, 2)), draw(st.integers(1, 2**16)))
        for _ in range(draw(st.integers(1, 4)))
    ]


def random_edit(share: float, added: int, sh_degree: int, seed: int):
    """A maker of a patch that takes out about that share of the rows and puts some in."""

    def make(request):
        generator = torch.Generator().manual_seed(seed)
        count = len(request.scene)
        removed = (torch.rand(count, generator=generator) < share).nonzero()[:, 0].tolist()
        parents = [int(torch.randint(-1, count, (), generator=generator)) if count else -1 for _ in range(added)]
        return result_of(request.scene, patch_of(removed, random_scene(added, sh_degree, seed), parents))

    return make


@settings(max_examples=60, deadline=None)
@given(edits(), st.integers(0, 2))
def test_undo_and_redo_give_back_every_scene_bit_for_bit(steps, sh_degree):
    session = session_of(random_scene(12, sh_degree), Scripted(*(random_edit(*step) for step in steps)))
    seen = [(session.scene, session.sources)]
    for _ in steps:
        session.upgrade(BOX).result(10)
        seen.append((session.scene, session.sources))
    for walk in (range(len(steps) - 1, -1, -1), range(1, len(steps) + 1), range(len(steps) - 1, -1, -1)):
        for index in walk:
            session.undo() if walk.step < 0 else session.redo()
            assert same_bits(session.scene, seen[index][0])
            assert torch.equal(session.sources, seen[index][1])
    assert not session.can_undo
    session.close()


@settings(max_examples=40, deadline=None)
@given(edits())
def test_every_row_that_kept_its_bits_still_knows_its_row_in_the_file(steps):
    scene = random_scene(12)
    session = session_of(scene, Scripted(*(random_edit(*step) for step in steps)))
    for _ in steps:
        session.upgrade(BOX).result(10)
    for row, source in enumerate(session.sources.tolist()):
        originals = (session.scene.means[row] == scene.means).all(1).nonzero()[:, 0].tolist()
        if originals:
            assert originals == [source]
    assert len(session.sources) == len(session.scene)
    session.close()


def test_added_gaussians_carry_the_row_of_their_parent():
    session = session_of(
        random_scene(5), Scripted(lambda r: result_of(r.scene, patch_of([1], random_scene(3), [1, -1, 4])))
    )
    session.upgrade(BOX).result(5)
    assert session.sources.tolist() == [0, 2, 3, 4, 1, -1, 4]
    session.close()


def test_undo_with_nothing_done_and_redo_with_nothing_undone_change_nothing():
    scene = random_scene(4)
    session = session_of(scene)
    assert session.undo() is None
    assert session.redo() is None
    assert session.scene is scene
    session.close()


def test_a_new_upgrade_forgets_what_was_undone():
    def grow(request):
        return result_of(request.scene, patch_of([], random_scene(1, seed=len(request.scene))))

    session = session_of(random_scene(4), Scripted(grow, grow))
    session.upgrade(BOX).result(5)
    session.undo()
    assert session.can_redo
    session.upgrade(BOX).result(5)
    assert not session.can_redo
    session.close()


def test_a_forced_upgrade_is_undone_like_any_other():
    scene = random_scene(6)
    session = session_of(scene, Scripted(lambda r: result_of(r.scene, patch_of([0], random_scene(2)), BAD)))
    session.upgrade(BOX).result(5)
    assert session.scene is scene
    session.force()
    assert len(session.scene) == 7
    session.undo()
    assert same_bits(session.scene, scene)
    session.close()
