import pytest
import torch

from gaussian_lens_app.priors.chain import Chain


@pytest.fixture
def stable_sr() -> Chain:
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return Chain.preserving((1 - betas).cumprod(0).tolist(), 4)


def test_four_steps_of_a_thousand_are_the_published_ones(stable_sr):
    assert stable_sr.timesteps == (999, 666, 333, 0)
    assert stable_sr.signals == pytest.approx((0.0683, 0.3242, 0.7314, 0.9996), abs=1e-4)
    assert stable_sr.noises == pytest.approx((0.9977, 0.9460, 0.6819, 0.0292), abs=1e-4)


def test_a_step_has_the_published_coefficients(stable_sr):
    def mean(t, x_t, x0):
        values = torch.full((400_000,), float(x_t)), torch.full((400_000,), float(x0))
        stepped = stable_sr.previous(*values, t, torch.Generator().manual_seed(0))
        return float(stepped.mean()), float(stepped.std())

    for t, c1, c2, sigma in (
        (999, 0.31124, 0.18934, 0.92695),
        (666, 0.65675, 0.23031, 0.64620),
        (333, 0.99860, 0.00134, 0.02914),
    ):
        assert mean(t, 0, 1)[0] == pytest.approx(c1, abs=6e-3)
        assert mean(t, 1, 0)[0] == pytest.approx(c2, abs=6e-3)
        assert mean(t, 0, 0)[1] == pytest.approx(sigma, rel=0.01)


def test_the_last_step_gives_x0(stable_sr):
    x0 = torch.rand(3)
    assert torch.equal(stable_sr.previous(torch.rand(3), x0, 0, torch.Generator()), x0)


def test_added_noise_levels_step_down_to_the_next_level():
    chain = Chain.exploding([10.0, 3.0, 0.5])
    x0, generator = torch.zeros(100_000), torch.Generator().manual_seed(1)
    stepped = chain.previous(chain.noisy(x0, 0, generator), x0, 0, generator)
    assert float(stepped.std()) == pytest.approx(3.0, rel=0.02)
