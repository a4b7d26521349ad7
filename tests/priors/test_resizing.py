import pytest
import torch

from gaussian_lens_app.priors.resizing import agreeing, enlarged, reduced


def psnr(a, b):
    return -10 * float((a - b).square().mean().log10())


def test_area_reduction_is_the_mean_of_the_pixels_covered():
    picture = torch.rand(8, 12, 3)
    assert torch.allclose(reduced(picture, 4)[1, 2], picture[4:8, 8:12].mean((0, 1)))


@pytest.mark.parametrize("how", ["area", "bicubic"])
def test_a_picture_made_to_agree_does_agree(how):
    torch.manual_seed(0)
    small = torch.nn.functional.avg_pool2d(torch.rand(1, 3, 96, 96), 4)[0].permute(1, 2, 0)
    picture = (enlarged(small, 4) + 0.1 * torch.randn(96, 96, 3)).clamp(0, 1)
    assert psnr(reduced(picture, 4, how), small) < 35
    assert psnr(reduced(agreeing(picture, small, how), 4, how), small) > 40


def test_agreement_keeps_the_detail_that_the_small_picture_cannot_show():
    checks = (torch.arange(64)[:, None] + torch.arange(64)) % 2
    picture = (0.4 + 0.2 * checks)[..., None].expand(-1, -1, 3)
    assert torch.allclose(agreeing(picture, reduced(picture, 4)), picture, atol=1e-6)
