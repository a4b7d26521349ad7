"""Mending is an edit like any other: it stays when regions it has nothing to do with come and go."""

import pytest
import torch
from fakes import BOX, Scripted, patch_of, random_scene, result_of, same_bits, session_of

from gaussian_lens_app import formats
from gaussian_lens_app.scene import Gaussians
from gaussian_lens_app.session.project import new_project, open_project

NEEDLE = torch.tensor([-8.0, -9.0, 0.0])


def sound(count: int, seed: int = 0) -> Gaussians:
    """Gaussians that no linter finds fault with."""
    scene = random_scene(count, 1, seed)
    scene.log_scales.mul_(0.3).sub_(4)
    return scene


def replacing(row: int, added: Gaussians):
    """A maker of a result that takes one row out and puts some in."""
    return lambda request: result_of(request.scene, patch_of([row], added))


@pytest.fixture
def mended():
    """Two upgrades apart, the second with a needle; the needle mended."""
    faulty = sound(3, seed=2)
    faulty.log_scales[1] = NEEDLE
    session = session_of(sound(200), Scripted(replacing(0, sound(5, seed=1)), replacing(0, faulty)))
    session.upgrade(BOX).result(5)
    session.upgrade(BOX).result(5)
    edit = session.mend().result(20)
    assert edit is not None
    assert edit.patch.removed.tolist() == [len(session.scene) - 2]
    yield session
    session.close()


def values(scene: Gaussians) -> set[tuple[float, ...]]:
    return {tuple(row) for row in torch.cat([scene.means, scene.log_scales], 1).tolist()}


def test_a_region_under_it_that_it_does_not_touch_can_be_hidden_and_shown_again(mended):
    full, own = mended.scene, mended.regions[0].current.edit.patch.added
    mended.hide_region(1)
    assert values(mended.scene) == (values(full) - values(own)) | values(mended.original.scene.take(torch.tensor([0])))
    assert formats.lint(mended.scene) == ()
    mended.show_region(1)
    assert values(mended.scene) == values(full)


def test_hiding_under_it_is_undone_bit_for_bit(mended):
    full = mended.scene
    mended.hide_region(1)
    mended.undo()
    assert same_bits(mended.scene, full)
    for _ in range(3):
        mended.undo()
    assert same_bits(mended.scene, mended.original.scene)


def test_every_row_keeps_its_name_and_its_region_when_the_scene_under_it_changes(mended):
    ids, means = mended.edited.ids, mended.scene.means
    known = dict(zip(ids.tolist(), means.tolist(), strict=True))
    mended.hide_region(1)
    after = dict(zip(mended.edited.ids.tolist(), mended.scene.means.tolist(), strict=True))
    assert all(known[name] == place for name, place in after.items() if name in known)
    assert len(after.keys() & known.keys()) == len(known) - 5


def test_a_project_is_reopened_mended_whatever_is_hidden(mended, tmp_path):
    formats.save(tmp_path / "scene.ply", mended.original.scene)
    new_project(tmp_path / "work", tmp_path / "scene.ply", None, mended)
    for _ in range(2):
        again, _ = open_project(tmp_path / "work", "cpu")
        assert values(again.scene) == values(mended.scene)
        again.undo()
        assert NEEDLE.tolist() in again.scene.log_scales.tolist()
        again.close()
        if mended.regions[0].shown:
            mended.hide_region(1)
