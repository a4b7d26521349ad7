"""The image network gives the same maps however it computes them."""

import pytest
import torch

from gaussian_lens_app.networks import image_network
from gaussian_lens_app.networks.image_network import RAY_CHANNELS, ImageNetwork
from gaussian_lens_app.networks.views import Views


@pytest.fixture
def looked_at():
    torch.manual_seed(0)
    network = ImageNetwork(channels=20, width=32, stride=2)
    rays = torch.randn(2, RAY_CHANNELS, 24, 32)
    sizes = torch.tensor([[64.0, 48.0]] * 2)
    return network, Views(
        torch.rand(2, 20, 48, 64), rays, torch.eye(4).repeat(2, 1, 1), torch.eye(3).repeat(2, 1, 1), sizes
    )


def test_in_bfloat16_the_maps_are_those_of_full_precision_to_a_hundredth(looked_at, monkeypatch):
    network, views = looked_at
    monkeypatch.setattr(image_network, "knows_bfloat16", lambda: False)
    with torch.no_grad():
        exact = network(views)
        monkeypatch.setattr(image_network, "knows_bfloat16", lambda: True)
        for rounded, map in zip(network(views), exact, strict=True):
            assert rounded.dtype is torch.float32
            assert not torch.equal(rounded, map)
            assert (rounded - map).norm() < 0.01 * map.norm()


def test_what_is_learned_from_is_in_full_precision(looked_at, monkeypatch):
    network, views = looked_at
    monkeypatch.setattr(image_network, "knows_bfloat16", lambda: True)
    taught = network(views)
    monkeypatch.setattr(image_network, "knows_bfloat16", lambda: False)
    with torch.no_grad():
        assert all(torch.equal(one, other) for one, other in zip(taught, network(views), strict=True))
