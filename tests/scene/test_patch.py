import torch
from hypothesis import given
from hypothesis import strategies as st

from gaussian_lens_app.scene import Gaussians, Patch


def random_scene(count: int, seed: int, degree: int = 0) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    bands = (degree + 1) ** 2 - 1
    return Gaussians(
        draw(count, 3), draw(count, 4), draw(count, 3), draw(count), draw(count, 1, 3), draw(count, bands, 3)
    )


@st.composite
def edits(draw):
    """A scene and a patch of it, with added rows at the end or anywhere."""
    count, added = draw(st.integers(0, 20)), draw(st.integers(0, 10))
    removed = sorted(draw(st.sets(st.integers(0, count - 1)))) if count else []
    total = count - len(removed) + added
    places = draw(st.permutations(range(total)))[:added]
    positions = draw(st.sampled_from([None, torch.tensor(sorted(places), dtype=torch.long)]))
    scene = random_scene(count, seed=1, degree=draw(st.integers(0, 2)))
    new = random_scene(added, seed=2)
    return scene, Patch(torch.tensor(removed, dtype=torch.long), new, torch.full((added,), -1), positions)


def same_bits(a: Gaussians, b: Gaussians) -> bool:
    return all(torch.equal(x, y) for (_, x), (_, y) in zip(a.tensors(), b.tensors(), strict=True))


@given(edits())
def test_the_inverse_of_a_patch_restores_every_bit_and_the_order(edit):
    scene, patch = edit
    assert same_bits(patch.inverse(scene).apply(patch.apply(scene)), scene)


@given(edits())
def test_the_inverse_of_the_inverse_does_what_the_patch_did(edit):
    scene, patch = edit
    edited = patch.apply(scene)
    again = patch.inverse(scene).inverse(edited).apply(scene)
    assert same_bits(again, edited)


@given(edits())
def test_sources_name_the_old_row_of_every_survivor(edit):
    scene, patch = edit
    edited, sources = patch.apply(scene), patch.sources(len(scene))
    survivors = sources >= 0
    assert torch.equal(edited.means[survivors], scene.means[sources[survivors]])
    assert int((~survivors).sum()) == len(patch.added)
    assert not set(sources[survivors].tolist()) & set(patch.removed.tolist())


def test_added_rows_are_filled_up_to_the_scenes_sh_degree():
    scene, new = random_scene(3, seed=0, degree=2), random_scene(2, seed=1, degree=0)
    edited = Patch(torch.tensor([1]), new, torch.tensor([1, -1])).apply(scene)
    assert edited.sh_degree == 2
    assert len(edited) == 4
    assert bool((edited.shN[2:] == 0).all())
