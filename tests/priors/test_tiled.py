import pytest
import torch

from gaussian_lens_app.networks.sr_prior import PriorConfig, SRPrior
from gaussian_lens_app.priors.base import first_guess, is_diffusion, sampled
from gaussian_lens_app.priors.embedded import EmbeddedPrior
from gaussian_lens_app.priors.tiled import Tiles, tiled
from gaussian_lens_app.priors.upscalers import Bicubic

TINY = PriorConfig(width=8, blocks=2, coarse_width=12, coarse_blocks=1)


@pytest.fixture
def prior() -> EmbeddedPrior:
    torch.manual_seed(0)
    return EmbeddedPrior(SRPrior(TINY).eval(), how=None)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_windows_cover_everything_and_blend_to_what_they_were_cut_from():
    picture = torch.rand(50, 37, 3)
    tiles = Tiles(50, 37, 16, 4)
    assert torch.allclose(tiles.blend(tiles.cut(picture), 1), picture, atol=1e-6)


def test_a_picture_smaller_than_a_window_is_one_window():
    assert Tiles(10, 12, 16, 4).rects == [(0, 0, 12, 10)]


def test_a_tiled_prior_keeps_an_x_t_a_window_and_predicts_as_the_whole_does(prior):
    small = torch.rand(24, 56, 3)
    windows = tiled(prior, 40, 24)
    assert is_diffusion(windows)
    assert len(windows.init_latent(small, generator())) == 2
    x0 = first_guess(prior, small, generator())
    assert torch.allclose(first_guess(windows, small, generator())[:, :30], x0[:, :30], atol=0.02)


def test_encoding_and_decoding_through_windows_gives_the_picture(prior):
    picture = torch.rand(96, 160, 3)
    windows = tiled(prior, 20, 4)
    assert is_diffusion(windows)
    assert torch.allclose(windows.decode(windows.encode(picture), torch.rand(24, 40, 3)), picture, atol=1e-5)


def test_a_sample_repeats_with_its_seed_and_differs_without(prior):
    small = torch.rand(12, 12, 3)
    first, again = (sampled(prior, small, generator()) for _ in range(2))
    other = sampled(prior, small, torch.Generator().manual_seed(1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-3)


def test_a_tiled_upscaler_is_still_an_upscaler():
    small = torch.rand(40, 40, 3)
    windows = tiled(Bicubic(), 24, 12)
    assert not is_diffusion(windows)
    assert torch.allclose(windows.upscale(small)[40:120, 40:120], Bicubic().upscale(small)[40:120, 40:120], atol=0.06)


def test_what_the_embedded_prior_decodes_agrees_with_the_small_picture():
    prior, small = EmbeddedPrior(SRPrior(TINY).eval()), torch.rand(12, 16, 3)
    picture = prior.decode(torch.rand(1, 3, 48, 64), small)
    blocks = picture.view(12, 4, 16, 4, 3).mean((1, 3))
    assert float((blocks - small).square().mean()) < float((0.5 - small).square().mean()) / 20
