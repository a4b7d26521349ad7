"""Figures against torchmetrics and by hand."""

import math

import pytest
import torch
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from gaussian_lens_app.evaluation.metrics import Comparison, full_ssim_map, gradient_energy, ms_ssim, psnr


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(4)
    x, y = torch.linspace(0, 30, 240)[None, :, None], torch.linspace(0, 20, 200)[:, None, None]
    photo = 0.5 + 0.4 * torch.sin(x + torch.tensor([0.0, 1.0, 2.0])) * torch.cos(y)
    return (photo + 0.15 * torch.randn(photo.shape, generator=random)), photo


def planes(image: torch.Tensor) -> torch.Tensor:
    return image.double().permute(2, 0, 1)[None]


BOX = (30, 10, 210, 190)


def test_figures_of_the_whole_image_are_those_of_torchmetrics(pair):
    rendered, photo = pair[0].clamp(0, 1), pair[1]
    figures = Comparison.of(*pair).figures()
    assert figures.psnr == pytest.approx(peak_signal_noise_ratio(rendered, photo, data_range=1.0).item(), abs=1e-4)
    expected = multiscale_structural_similarity_index_measure(planes(rendered), planes(photo), data_range=1.0)
    assert figures.ms_ssim == pytest.approx(expected.item(), abs=1e-4)
    assert figures.outside_psnr is None
    _, whole = structural_similarity_index_measure(
        planes(rendered), planes(photo), data_range=1.0, return_full_image=True
    )
    assert figures.ssim == pytest.approx(whole.mean().item(), abs=1e-4)


def test_psnr_in_a_box_looks_at_the_box_alone(pair):
    x0, y0, x1, y1 = BOX
    inside = [image.clamp(0, 1)[y0:y1, x0:x1] for image in pair]
    figures = Comparison.of(*pair).figures(BOX)
    assert figures.psnr == pytest.approx(peak_signal_noise_ratio(*inside, data_range=1.0).item(), abs=1e-4)


def test_psnr_outside_ignores_the_box(pair):
    rendered, photo = pair
    x0, y0, x1, y1 = BOX
    spoiled = rendered.clone()
    spoiled[y0:y1, x0:x1] = 0
    before, after = (Comparison.of(image, photo).figures(BOX) for image in (rendered, spoiled))
    assert before.outside_psnr is not None
    assert after.outside_psnr == pytest.approx(before.outside_psnr, abs=1e-6)
    assert after.psnr < before.psnr - 1


def test_ssim_in_a_box_sees_beyond_its_edge(pair):
    x0, y0, x1, y1 = BOX
    rendered, photo = pair[0].clamp(0, 1), pair[1]
    whole = full_ssim_map(rendered, photo)[y0:y1, x0:x1].mean().item()
    cut = full_ssim_map(rendered[y0:y1, x0:x1], photo[y0:y1, x0:x1]).mean().item()
    measured = Comparison.of(*pair).figures(BOX).ssim
    assert measured == pytest.approx(whole, abs=1e-6)
    assert measured != pytest.approx(cut, abs=1e-6)


def test_small_boxes_have_no_ms_ssim(pair):
    assert Comparison.of(*pair).figures((0, 0, 175, 200)).ms_ssim is None
    assert Comparison.of(*pair).figures((0, 0, 176, 200)).ms_ssim is not None
    assert ms_ssim(pair[1], pair[1]) == pytest.approx(1.0)


def test_renders_are_clamped_before_they_are_compared():
    white = torch.ones(12, 12, 3)
    assert Comparison.of(3 * white, white).figures().psnr == 100
    assert psnr(3 * white, white) == 100
    assert psnr(0.5 * white, white) == pytest.approx(20 * math.log10(2), abs=1e-4)


def test_blur_lowers_and_noise_raises_gradient_energy(pair):
    noisy, photo = pair
    blurred = torch.nn.functional.avg_pool2d(photo.permute(2, 0, 1), 9, 1, 4, count_include_pad=False).permute(1, 2, 0)
    assert gradient_energy(blurred) < gradient_energy(photo) < gradient_energy(noisy)


def test_gradient_energy_of_a_ramp_is_its_slope_squared():
    ramp = (torch.arange(10.0) * 0.1)[None, :, None].repeat(10, 1, 3)
    assert gradient_energy(ramp) == pytest.approx(0.01, rel=1e-4)
