"""Cloning, splitting, pruning and relocating Gaussians."""

import pytest
import torch

from gaussian_lens_app.networks.relocation import relocated
from gaussian_lens_app.optimize.adam import Adam
from gaussian_lens_app.optimize.density import AdaptiveDensity, AdaptiveSettings
from gaussian_lens_app.optimize.mcmc import Mcmc, McmcSettings, shared
from gaussian_lens_app.optimize.shape import limited, offsets
from gaussian_lens_app.raster.reference import ReferenceRasterizer
from gaussian_lens_app.scene import Camera, Gaussians
from gaussian_lens_app.scene.gaussians import rotations

CAMERA = Camera(torch.eye(4), torch.tensor([[20.0, 0, 10], [0, 20.0, 10], [0, 0, 1]]), 20, 20)
RATES = {"means": 0.0}


def gaussians(sigmas: list[float], opacities: list[float]) -> Gaussians:
    count = len(sigmas)
    quats = torch.zeros(count, 4)
    quats[:, 0] = 1
    return Gaussians(
        means=torch.arange(count * 3.0).view(count, 3),
        quats=quats,
        log_scales=torch.tensor(sigmas).log()[:, None].repeat(1, 3),
        logit_opacities=torch.tensor(opacities).logit(),
        sh0=torch.zeros(count, 1, 3),
        shN=torch.zeros(count, 0, 3),
    )


def pulled(rows: list[int], count: int) -> torch.Tensor:
    probe = torch.zeros(count, 4)
    probe[rows, 2:] = 1.0
    return probe


def grown(scene: Gaussians, rows: list[int], **settings) -> Adam:
    adam = Adam(scene)
    density = AdaptiveDensity(AdaptiveSettings(**settings), extent=1.0, generator=torch.Generator().manual_seed(0))
    density.observe(pulled(rows, len(scene)), CAMERA)
    density.update(step=500, steps=1000, adam=adam, rates=RATES)
    return adam


def test_a_small_gaussian_that_is_pulled_is_cloned():
    scene = gaussians([0.005, 0.005], [0.5, 0.5])
    result = grown(scene, [1]).scene
    assert len(result) == 3
    assert torch.equal(result.means[2], scene.means[1])
    assert torch.equal(result.log_scales[2], scene.log_scales[1])


def test_a_large_gaussian_that_is_pulled_becomes_two_smaller_ones_near_it():
    scene = gaussians([0.05, 0.005], [0.5, 0.5])
    result = grown(scene, [0]).scene
    assert len(result) == 3
    assert torch.equal(result.means[0], scene.means[1])
    assert (result.means[1:] - scene.means[0]).norm(dim=-1).max() < 5 * 0.05
    torch.testing.assert_close(result.log_scales[1:].exp(), torch.full((2, 3), 0.05 / 1.6))


def test_faint_gaussians_are_pruned():
    assert len(grown(gaussians([0.005, 0.005], [0.5, 0.001]), []).scene) == 1


def test_the_scene_does_not_grow_beyond_its_limit_and_the_strongest_go_first():
    scene = gaussians([0.005] * 4, [0.5] * 4)
    probe = pulled([0, 1, 2, 3], 4) * torch.tensor([1.0, 4.0, 2.0, 3.0])[:, None]
    adam = Adam(scene)
    density = AdaptiveDensity(AdaptiveSettings(max_gaussians=5), 1.0, torch.Generator().manual_seed(0))
    density.observe(probe, CAMERA)
    density.update(500, 1000, adam, RATES)
    assert len(adam.scene) == 5
    assert torch.equal(adam.scene.means[4], scene.means[1])


def test_nothing_grows_in_the_last_part():
    scene = gaussians([0.005], [0.5])
    adam = Adam(scene)
    density = AdaptiveDensity(AdaptiveSettings(until=0.6), 1.0, torch.Generator().manual_seed(0))
    density.observe(pulled([0], 1), CAMERA)
    density.update(700, 1000, adam, RATES)
    assert len(adam.scene) == 1


def test_needles_and_giants_are_limited():
    scene = gaussians([1.0], [0.5])
    scene = Gaussians(**{**dict(scene.tensors()), "log_scales": torch.tensor([[5.0, 0.01, 0.001]]).log()})
    torch.testing.assert_close(limited(scene, 0.1, 8.0).log_scales.exp(), torch.tensor([[0.08, 0.01, 0.001]]))
    torch.testing.assert_close(limited(scene, 0.02, 8.0).log_scales.exp(), torch.tensor([[0.02, 0.01, 0.001]]))


def test_offsets_have_the_covariance_of_their_gaussian():
    one = gaussians([0.1], [0.5])
    fields = {"quats": torch.tensor([[0.9, 0.1, -0.3, 0.2]]), "log_scales": torch.tensor([[0.3, 0.1, 0.02]]).log()}
    one = Gaussians(**{**dict(one.tensors()), **fields})
    many = one.take(torch.zeros(200_000, dtype=torch.long))
    drawn = offsets(many, torch.randn(len(many), 3, generator=torch.Generator().manual_seed(0)))
    axes = rotations(one.quats)[0]
    expected = axes @ torch.diag(torch.tensor([0.09, 0.01, 0.0004])) @ axes.T
    assert (drawn.T.cov() - expected).norm() < 0.01 * expected.norm()
    torch.testing.assert_close(axes @ axes.T, torch.eye(3))


def test_sharing_a_gaussian_among_copies_keeps_the_picture():
    scene = gaussians([0.3], [0.6])
    scene = Gaussians(**{**dict(scene.tensors()), "means": torch.tensor([[0.0, 0.0, 3.0]])})
    hosts = torch.zeros(3, dtype=torch.long)
    divided = shared(scene, hosts)
    four = Gaussians.concat([divided, divided.take(hosts)])
    rasterizer = ReferenceRasterizer()
    before, after = (rasterizer.render(each, CAMERA).alpha for each in (scene, four))
    naive = rasterizer.render(scene.take(torch.zeros(4, dtype=torch.long)), CAMERA).alpha
    assert (after - before).norm() < 0.1 * before.norm()
    assert (after - before).norm() < 0.2 * (naive - before).norm()


def test_sharing_divides_each_gaussian_for_its_own_number_of_copies_as_published():
    scene = gaussians([0.3, 0.2, 0.1], [0.6, 0.9, 0.5])
    divided = shared(scene, torch.tensor([0, 0, 0, 1]))
    for row, count in enumerate((4, 2, 1)):
        opacity, factor = relocated(scene.opacities[row : row + 1], count)
        torch.testing.assert_close(divided.opacities[row : row + 1], opacity)
        torch.testing.assert_close(divided.scales[row] / scene.scales[row], factor.expand(3))


def test_mcmc_moves_the_dead_to_the_living_and_grows_to_its_limit():
    scene = gaussians([0.05] * 40, [0.5] * 30 + [0.001] * 10)
    adam = Adam(scene)
    strategy = Mcmc(McmcSettings(max_gaussians=41, noise=0.0), 1.0, torch.Generator().manual_seed(0))
    strategy.update(500, 1000, adam, RATES)
    assert len(adam.scene) == 41
    assert adam.scene.opacities.min() > 0.005
    places = {tuple(place) for place in adam.scene.means.tolist()}
    assert places <= {tuple(place) for place in scene.means[:30].tolist()}


def test_mcmc_pays_for_opacity_and_size():
    strategy = Mcmc(McmcSettings(), 1.0, torch.Generator())
    small, large = strategy.penalty(gaussians([0.1], [0.2])), strategy.penalty(gaussians([0.3], [0.4]))
    assert small.item() == pytest.approx(0.01 * 0.2 + 0.01 * 0.1)
    assert large > small


def test_a_reset_makes_everything_faint():
    scene = gaussians([0.005] * 3, [0.9, 0.5, 0.008])
    result = grown(scene, [], reset_every=500).scene
    assert result.opacities.max() <= 0.01 + 1e-6
    assert result.opacities[2].item() == pytest.approx(0.008, rel=1e-4)
