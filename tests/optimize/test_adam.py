"""The optimiser against torch's own, and what its state does when rows come and go."""

import dataclasses

import pytest
import torch

from gaussian_lens_app.optimize.adam import Adam, LearningRates
from gaussian_lens_app.scene import Gaussians

RATES = {"means": 0.1, "quats": 0.01, "log_scales": 0.02, "logit_opacities": 0.03, "sh0": 0.04, "shN": 0.05}


@pytest.fixture
def scene() -> Gaussians:
    random = torch.Generator().manual_seed(0)
    shapes = [(5, 3), (5, 4), (5, 3), (5,), (5, 1, 3), (5, 3, 3)]
    return Gaussians(*(torch.randn(shape, generator=random) for shape in shapes))


def bowl(scene: Gaussians) -> torch.Tensor:
    """A loss with another slope in every number."""
    return sum(((tensor - 1) ** 4).sum() for _, tensor in scene.tensors())


def descend(adam: Adam, steps: int) -> None:
    for _ in range(steps):
        bowl(adam.scene).backward()
        adam.step(RATES)


def test_steps_are_those_of_torch(scene):
    theirs = {name: tensor.clone().requires_grad_() for name, tensor in scene.tensors()}
    groups = [{"params": [theirs[name]], "lr": rate} for name, rate in RATES.items()]
    oracle = torch.optim.Adam(groups, eps=1e-15)
    adam = Adam(scene)
    for _ in range(7):
        oracle.zero_grad()
        bowl(Gaussians(**theirs)).backward()
        oracle.step()
    descend(adam, 7)
    for name, tensor in adam.scene.tensors():
        torch.testing.assert_close(tensor.detach(), theirs[name].detach())


def test_the_callers_scene_is_not_changed(scene):
    before = scene.map(torch.clone)
    descend(Adam(scene), 2)
    for (_, now), (_, then) in zip(scene.tensors(), before.tensors(), strict=True):
        assert torch.equal(now, then)


def test_a_field_without_a_rate_stays(scene):
    adam = Adam(scene)
    bowl(adam.scene).backward()
    adam.step({"means": 0.1})
    assert torch.equal(adam.scene.quats, scene.quats)
    assert not torch.equal(adam.scene.means, scene.means)


def test_rows_that_stay_go_on_as_if_nothing_had_happened(scene):
    alone, pruned = Adam(scene), Adam(scene)
    descend(alone, 3)
    descend(pruned, 3)
    kept = torch.tensor([4, 1, 2])
    pruned.replace(pruned.scene.detach().take(kept), kept)
    descend(alone, 4)
    descend(pruned, 4)
    for (_, now), (_, then) in zip(pruned.scene.tensors(), alone.scene.take(kept).tensors(), strict=True):
        torch.testing.assert_close(now, then)


def test_new_rows_start_without_momentum(scene):
    adam = Adam(scene)
    descend(adam, 3)
    kept = torch.arange(5)
    adam.replace(Gaussians.concat([adam.scene.detach(), scene]), torch.cat([kept, torch.full((5,), -1)]))
    for _, tensor in adam.scene.tensors():
        tensor.grad = torch.zeros_like(tensor)
    before = adam.scene.map(torch.clone).detach()
    adam.step(RATES)
    assert torch.equal(adam.scene.means[5:], before.means[5:])
    assert not torch.equal(adam.scene.means[:5], before.means[:5])


def test_centres_slow_down_exponentially_with_the_extent():
    rates = LearningRates()
    assert rates.at(0, 2.0)["means"] == pytest.approx(3.2e-4)
    assert rates.at(0.5, 2.0)["means"] == pytest.approx(3.2e-5)
    assert rates.at(1, 2.0)["means"] == pytest.approx(3.2e-6)
    assert {field.name for field in dataclasses.fields(Gaussians)} == set(rates.at(0, 1.0))
