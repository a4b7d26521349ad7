import math

import pytest
import torch

from gaussian_lens_app.networks.upsampling import (
    AdaptiveNorm,
    LayerConfig,
    LayerHead,
    Split,
    Up,
    octaves,
    starting_places,
)


@pytest.fixture
def points():
    torch.manual_seed(0)
    return torch.rand(300, 3), torch.randn(300, 48)


def test_children_stay_within_their_cell_and_know_their_places(points):
    positions, features = points
    up = Up(48, 48, LayerConfig(width=32, factor=4))
    torch.nn.init.normal_(up.offset[-1].weight, std=3.0)
    places, grown = up(features, features.mean(0), positions, torch.tensor(0.1))
    assert places.shape == (300, 4, 3)
    assert float(places.detach().abs().max()) <= 1
    assert float((grown[:, 0] - grown[:, 1]).detach().abs().mean()) > 1e-3


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_children_start_in_different_places_around_their_parent(factor):
    places = starting_places(factor)
    torch.testing.assert_close(places.mean(0), torch.zeros(3), atol=1e-6, rtol=0)
    assert len(torch.unique((places * 1e4).round(), dim=0)) == factor


def test_the_mask_sends_the_given_share_and_keeps_values():
    torch.manual_seed(0)
    split, x = Split(16), torch.randn(101, 16, requires_grad=True)
    lack = torch.linspace(0.01, 1, 101)
    for share in (0.0, 0.3, 0.8, 1.0):
        passed, chosen = split(x, lack, share)
        torch.testing.assert_close(passed, x)
        assert int(chosen.sum()) == math.ceil(share * 101)
    assert bool(split(x, lack, 0.3)[1][-31:].all())  # Before it has learned anything, the worst go on.


def test_the_mask_learns_although_values_stay():
    torch.manual_seed(0)
    split, x = Split(16), torch.randn(50, 16)
    torch.nn.init.normal_(split.score[-1].weight)
    passed, chosen = split(x, torch.ones(50), 0.5)
    passed[chosen].square().sum().backward()
    gradient = split.score[0].weight.grad
    assert gradient is not None
    assert float(gradient.abs().max()) > 0


def test_equal_masks_are_told_apart_the_same_way_every_time():
    split, x = Split(8), torch.zeros(20, 8)
    chosen = [split(x, torch.ones(20), 0.5)[1] for _ in range(3)]
    assert bool((chosen[0] == chosen[1]).all() & (chosen[1] == chosen[2]).all())


def test_adaptive_norm_starts_as_a_plain_one():
    x, everywhere = torch.randn(10, 32), torch.randn(48)
    torch.testing.assert_close(AdaptiveNorm(32, 48)(x, everywhere), torch.nn.functional.layer_norm(x, (32,)))


def test_an_untrained_head_changes_nothing_but_colour_towards_the_photos():
    head, local = LayerHead(16), torch.zeros(5, 7)
    local[:, 0] = 0.1
    residuals = head(torch.randn(5, 16), local)
    assert not any(getattr(residuals, name).any() for name in ("log_scale", "turn", "logit"))
    assert bool((residuals.colour[:, 0, 0] > 0.01).all())
    assert float(residuals.colour[:, 0, 1:].abs().max()) == 0


def test_octaves_tell_places_apart():
    places = torch.rand(200, 3) * 2 - 1
    codes = octaves(places)
    assert codes.shape == (200, 36)
    assert float(torch.pdist(codes).min()) > 0.05
