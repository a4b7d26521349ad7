"""GaussianVAE's networks."""

import pytest
import torch

from gaussian_lens_app.networks.gaussian_vae import FlowPrior, GaussianVAE, Known, Layer, LineageConfig, VAEConfig
from gaussian_lens_app.networks.weights import load_network, parameter_count, save_network


def known(count: int) -> Known:
    generator = torch.Generator().manual_seed(0)
    shapes = ((count, 4, 11), (count, 4, 50), (count, 38))
    return Known(*(torch.randn(shape, generator=generator) for shape in shapes))


@torch.no_grad()
def test_the_models_are_as_large_as_the_papers():
    network = GaussianVAE()
    assert parameter_count(network.geometry) == pytest.approx(131_000, rel=0.05)
    assert parameter_count(network.appearance) == pytest.approx(262_000, rel=0.05)


@torch.no_grad()
def test_an_untrained_network_changes_nothing():
    found = GaussianVAE()(known(20)).shown
    still = torch.zeros(20, 3, 11)
    still[..., 3] = 1
    torch.testing.assert_close(found.geometry, still)
    assert float(found.appearance.abs().max()) == 0


@torch.no_grad()
def test_colour_stays_where_the_surroundings_have_one_colour():
    network = GaussianVAE()
    torch.nn.init.normal_(network.appearance.shown.weight)
    torch.nn.init.normal_(network.geometry.shown.weight)
    seen = known(20)
    seen.context[:, 8:26] = 0
    assert float(network(seen).shown.appearance[..., 45:48].abs().max()) == 0
    seen.context[:, 8:26] = 0.5
    assert float(network(seen).shown.appearance[..., 45:48].abs().min()) > 0


@torch.no_grad()
def test_changes_are_bounded():
    network = GaussianVAE()
    for model in (network.geometry, network.appearance):
        torch.nn.init.normal_(model.shown.weight, std=100)
    found = network(known(50)).shown
    assert float(found.geometry[..., :3].abs().max()) <= 1.5
    assert float(found.geometry[..., 7:10].abs().max()) <= 1.5
    assert float(found.appearance[..., 45:48].abs().max()) <= 0.6 + 1e-6
    assert float(found.appearance[..., 48].abs().max()) <= 3


@torch.no_grad()
def test_the_last_token_alone_comes_out_as_among_all():
    layer = Layer(LineageConfig(24, 48, 8))
    tokens = torch.randn(7, 5, 24)
    torch.testing.assert_close(layer(tokens, only_last=True), layer(tokens)[:, -1:])


def test_the_priors_density_is_that_of_transformed_noise():
    """Change of variables: log p(T(noise)) = log N(noise) - log |det dT|, the Jacobian taken by autograd."""
    torch.manual_seed(0)
    prior = FlowPrior(6, 2)
    noise = torch.randn(5, 6)
    density = prior.log_density(prior.sample(noise))
    for row in range(5):
        jacobian = torch.autograd.functional.jacobian(lambda x: prior.sample(x[None])[0], noise[row])
        assert isinstance(jacobian, torch.Tensor)
        expected = torch.distributions.Normal(0, 1).log_prob(noise[row]).sum() - torch.linalg.slogdet(jacobian)[1]
        torch.testing.assert_close(density[row], expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_divergence_is_zero_on_average_where_posterior_and_prior_agree():
    prior = FlowPrior(4, 0)
    z = torch.randn(1000, 4)
    assert float(prior.divergence(z, torch.zeros(1000, 4), torch.zeros(1000, 4)).abs().max()) < 1e-4


@torch.no_grad()
def test_latents_are_drawn_in_training_and_fixed_otherwise():
    network = GaussianVAE()
    for model in (network.geometry, network.appearance):
        torch.nn.init.normal_(model.shown.weight)
    seen = known(8)
    assert torch.equal(network(seen).shown.geometry, network(seen).shown.geometry)
    assert not torch.equal(network(seen, sampled=True).shown.geometry, network(seen, sampled=True).shown.geometry)
    assert float(network(seen, sampled=True).kl.abs().min()) > 0


@torch.no_grad()
def test_weights_survive_a_file(tmp_path):
    config = VAEConfig(LineageConfig(20, 40, 8), LineageConfig(24, 48, 8))
    network = GaussianVAE(config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    path = tmp_path / "vae.safetensors"
    save_network(path, network.state_dict(), config, {})
    again = load_network(path, "gaussian-vae")
    torch.testing.assert_close(
        again(known(5)).shown.appearance, network(known(5)).shown.appearance, rtol=2e-2, atol=2e-2
    )
