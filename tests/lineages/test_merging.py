"""Pseudo-lineages: octree siblings merged into one Gaussian."""

import pytest
import torch
from lineages.splats import covariances, random_scene

from gaussian_lens_app.lineages.merging import merged, octree_codes, pseudo_levels, siblings


def masses(scene):
    return scene.opacities * (scene.log_scales.sum(-1) - scene.log_scales.amin(-1)).exp()


def test_a_pair_becomes_one_with_their_mean_and_covariance_by_mass():
    scene = random_scene(2)
    one = merged(scene, torch.zeros(2, dtype=torch.long))
    share = masses(scene) / masses(scene).sum()
    mean = (share[:, None] * scene.means).sum(0)
    offsets = scene.means - mean
    spread = covariances(scene) + offsets[:, :, None] * offsets[:, None, :]
    torch.testing.assert_close(one.means[0], mean)
    torch.testing.assert_close(covariances(one)[0], (share[:, None, None] * spread).sum(0), rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(one.sh0[0], (share[:, None, None] * scene.sh0).sum(0))


def test_mass_is_kept_where_opacity_allows_it():
    scene = random_scene(400)
    levels = pseudo_levels(scene, 1)
    coarse, cluster = levels[0]
    before = torch.zeros(len(coarse)).index_add(0, cluster, masses(scene))
    free = (coarse.opacities > 1.1e-4) & (coarse.opacities < 0.985)
    assert int(free.sum()) > 100
    torch.testing.assert_close(masses(coarse)[free], before[free], rtol=1e-3, atol=0)


def test_whoever_merges_with_nobody_keeps_its_very_bits():
    scene = random_scene(50)
    coarse, cluster = pseudo_levels(scene, 1)[0]
    alone = torch.bincount(cluster)[cluster] == 1
    assert bool(alone.any())
    for (_, old), (_, new) in zip(scene.tensors(), coarse.tensors(), strict=True):
        assert torch.equal(new[cluster[alone]], old[alone])


def test_each_level_has_about_half_as_many_and_every_gaussian_an_ancestor():
    scene = random_scene(3000)
    count = len(scene)
    for coarse, cluster in pseudo_levels(scene, 3):
        assert len(cluster) == count
        assert sorted(set(cluster.tolist())) == list(range(len(coarse)))
        assert 0.35 * count < len(coarse) < 0.65 * count
        count = len(coarse)


def test_siblings_are_near_each_other():
    means = torch.rand(2000, 3, generator=torch.Generator().manual_seed(1))
    cluster = siblings(means, 2)
    middles = torch.zeros(int(cluster.max()) + 1, 3).index_add(0, cluster, means)
    middles = middles / torch.bincount(cluster)[:, None]
    apart = (means - middles[cluster]).norm(dim=-1)
    assert float(apart.max()) < 0.5
    assert float(apart.mean()) < 0.08


def test_many_copies_of_one_place_merge_too():
    cluster = siblings(torch.zeros(64, 3), 2)
    assert int(cluster.max()) + 1 < 64


@pytest.mark.parametrize("count", [1, 2, 3])
def test_tiny_scenes_have_levels(count):
    for coarse, cluster in pseudo_levels(random_scene(count), 3):
        assert len(coarse) >= 1
        assert bool(torch.isfinite(coarse.means).all())
        assert int(cluster.max()) < len(coarse)


def test_far_outliers_do_not_squash_the_others_into_one_cell():
    means = torch.rand(2000, 3, generator=torch.Generator().manual_seed(2))
    means[:3] = 1e6
    assert len(octree_codes(means).unique()) > 1900
