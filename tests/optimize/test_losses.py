"""The losses against plain torch and torchmetrics."""

import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from gaussian_lens_app.optimize.losses import dssim, l1, l1_dssim
from gaussian_lens_app.optimize.ssim import l1_ssim_and_gradient, ssim_map, ssim_map_torch


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """A smooth picture and a noisy version of it, sides that are no multiple of anything."""
    random = torch.Generator().manual_seed(1)
    x = torch.linspace(0, 6, 53)[None, :, None]
    y = torch.linspace(0, 4, 37)[:, None, None]
    photo = 0.5 + 0.3 * torch.sin(x * torch.tensor([1.0, 2.0, 3.0])) * torch.cos(y)
    return (photo + 0.1 * torch.randn(photo.shape, generator=random)).clamp(0, 1), photo


def test_map_is_torchmetrics_map_away_from_the_border(pair):
    rendered, photo = pair
    planes = [picture.double().permute(2, 0, 1)[None] for picture in pair]
    _, whole = structural_similarity_index_measure(*planes, data_range=1.0, return_full_image=True)
    inner = slice(5, -5)
    got, expected = ssim_map(rendered, photo)[inner, inner], whole[0].permute(1, 2, 0)[inner, inner]
    assert (got - expected).norm() < 1e-4 * expected.norm()


def test_kernel_map_is_the_plain_torch_map_up_to_the_border(pair):
    expected = ssim_map_torch(*(picture.double() for picture in pair))
    assert (ssim_map(*pair) - expected).norm() < 1e-4 * expected.norm()


@pytest.mark.parametrize("masked", [False, True])
def test_gradient_is_that_of_plain_torch_in_double_precision(pair, masked):
    rendered, photo = pair
    weights = torch.rand(photo.shape[:2], generator=torch.Generator().manual_seed(2)) if masked else None
    leaf = rendered.double().requires_grad_()
    values = 0.3 * (leaf - photo.double()).abs() - 0.7 * ssim_map_torch(leaf, photo.double())
    expected = (values if weights is None else values * weights[..., None]).sum()
    expected.backward()
    total, gradient = l1_ssim_and_gradient(rendered, photo, 0.3, -0.7, weights)
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)
    assert leaf.grad is not None
    assert (gradient - leaf.grad).norm() < 1e-4 * leaf.grad.norm()


def test_equal_pictures_cost_nothing(pair):
    photo = pair[1]
    assert l1_dssim(photo, photo).item() == pytest.approx(0, abs=1e-5)


def test_a_full_mask_changes_nothing(pair):
    full = torch.ones(pair[0].shape[:2], dtype=torch.bool)
    assert l1_dssim(*pair, mask=full).item() == pytest.approx(l1_dssim(*pair).item(), rel=1e-5)


def test_pixels_far_outside_the_mask_get_no_gradient(pair):
    rendered, photo = pair
    mask = torch.zeros(rendered.shape[:2])
    mask[:10, :10] = 1
    leaf = rendered.clone().requires_grad_()
    l1_dssim(leaf, photo, mask=mask).backward()
    assert leaf.grad is not None
    assert leaf.grad[:10, :10].abs().sum() > 0
    assert leaf.grad[16:].abs().sum() == 0
    assert leaf.grad[:, 16:].abs().sum() == 0


def test_an_empty_mask_is_no_division_by_zero(pair):
    empty = torch.zeros(pair[0].shape[:2])
    assert torch.isfinite(l1_dssim(*pair, mask=empty))


def test_weights_mix_l1_and_dssim(pair):
    expected = 0.7 * l1(*pair) + 0.3 * dssim(*pair)
    torch.testing.assert_close(l1_dssim(*pair, weight=0.3), expected)


def test_gradient_descends_on_the_loss(pair):
    rendered, photo = pair
    leaf = rendered.clone().requires_grad_()
    before = l1_dssim(leaf, photo)
    before.backward()
    assert leaf.grad is not None
    after = l1_dssim(leaf.detach() - 2 * leaf.grad / leaf.grad.abs().max() * 0.01, photo)
    assert after < before
