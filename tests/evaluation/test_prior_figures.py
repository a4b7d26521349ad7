import numpy as np
import pytest
import torch
from PIL import Image

from gaussian_lens_app.evaluation.prior_figures import (
    evaluate_prior,
    luma,
    means,
    picture_figures,
    pictures_in,
    read_pair,
    restorations,
)
from gaussian_lens_app.priors import PriorSource, load_prior
from gaussian_lens_app.priors.resizing import reduced
from gaussian_lens_app.priors.upscalers import Bicubic


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("b.png", "a.jpg"):
        Image.fromarray(rng.integers(0, 256, (50, 63, 3), dtype=np.uint8)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_pictures_are_cropped_to_whole_small_pixels(folder):
    true, small = read_pair(folder / "b.png", 4)
    assert true.shape == (48, 60, 3)
    assert small.shape == (12, 15, 3)


def test_the_picture_itself_is_perfect_and_as_detailed_as_itself():
    true = torch.rand(48, 48, 3)
    figures = picture_figures(true, true, reduced(true, 4, "bicubic"))
    assert (figures.psnr, figures.gradient_energy, figures.agreement) == pytest.approx((100, 1, 100))
    assert figures.ssim == pytest.approx(1)


def test_borders_do_not_count():
    true = torch.rand(48, 48, 3)
    spoilt = true.clone()
    spoilt[:4] = 0
    assert picture_figures(spoilt, true, reduced(true, 4)).psnr == pytest.approx(100)


def test_psnr_is_of_luma():
    true = torch.full((48, 48, 3), 0.4)
    off = true + torch.tensor([0.0, 0.1, 0.0])
    assert picture_figures(off, true, reduced(true, 4)).psnr == pytest.approx(
        -20 * np.log10(0.1 * 128.553 / 255), abs=1e-3
    )
    assert float(luma(torch.ones(1, 1, 3))) == pytest.approx(235 / 255, abs=1e-4)


def test_a_folder_is_measured_picture_by_picture(folder):
    assert [path.name for path in pictures_in(folder)] == ["a.jpg", "b.png"]
    found = evaluate_prior(Bicubic(), pictures_in(folder))
    assert found["upscaled"][0].psnr == pytest.approx(found["bicubic"][0].psnr, abs=0.05)
    assert means(found)["bicubic"]["psnr"] == pytest.approx(np.mean([row.psnr for row in found["bicubic"]]))


def test_the_embedded_prior_beats_bicubic_on_text_it_has_not_seen():
    """Published figures are of photos; this holds the shipped weights to the direction of them."""
    from gaussian_lens_app.training.textures import glyphs

    true = torch.from_numpy(glyphs(np.random.default_rng(123456))[:128, :160].copy()).float() / 255
    small = (reduced(true, 4, "bicubic") * 255).round() / 255
    prior = load_prior(PriorSource(how="bicubic"), tell=lambda text: None)
    figures = {name: picture_figures(picture, true, small) for name, picture in restorations(prior, small).items()}
    assert figures["x0"].psnr > figures["bicubic"].psnr + 0.5
    assert figures["x0"].agreement > 40
    assert figures["sampled"].agreement > 40
    assert figures["sampled"].gradient_energy > figures["bicubic"].gradient_energy
