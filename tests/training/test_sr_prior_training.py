import numpy as np
import pytest
import torch

from gaussian_lens_app.networks.sr_prior import PriorConfig, enlarge
from gaussian_lens_app.priors.resizing import enlarged
from gaussian_lens_app.training.run import Run, RunSettings
from gaussian_lens_app.training.sr_prior import (
    PriorSettings,
    PriorTrainee,
    luma_psnr,
    made_small,
    pyramid,
    random_sheet,
    read_photos,
    varied,
)
from tests.scenes import board, write_capture

TINY = PriorConfig(width=8, blocks=2, coarse_width=12, coarse_blocks=1)
QUICK = PriorSettings(batch=4, side=32, textures=2, bfloat16=False)


@pytest.fixture(scope="module")
def capture(tmp_path_factory, fast_rasterizer):
    folder = tmp_path_factory.mktemp("data") / "capture"
    write_capture(board(fast_rasterizer, photos=6, width=520).capture, folder)
    return folder


@pytest.fixture
def trainee(capture) -> PriorTrainee:
    return PriorTrainee(TINY, [capture], QUICK)


def test_photos_kept_out_for_measurement_never_train(capture):
    train, kept = read_photos([capture], (8, 4))
    assert (len(train), len(kept)) == (5, 1)
    assert not any(np.array_equal(kept[0], photo) for photo in train)


def test_an_update_leaves_gradients_and_tells_both_errors(trainee):
    figures = trainee.losses(trainee.network, 0, 0.0)
    assert 0 < figures["others"] < figures["first"] < 1
    assert any(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in trainee.network.parameters())


def test_the_same_update_sees_the_same_samples(trainee):
    first, again, next_one = (trainee.losses(trainee.network, number, 0.0) for number in (3, 3, 4))
    assert first == again
    assert first != next_one


def test_training_lowers_the_error(trainee, tmp_path):
    before = np.mean([trainee.losses(trainee.network, 100 + i, 0.0)["first"] for i in range(4)])
    trainee.network.zero_grad()
    settings = RunSettings(
        tmp_path, hours=1, rate=4e-3, warm_up=1, validate_minutes=100, betas=(0.9, 0.99), average=0.9
    )
    Run(trainee, settings, lambda text: None).run(updates=40)
    after = np.mean([trainee.losses(trainee.network, 100 + i, 0.0)["first"] for i in range(4)])
    assert after < before


def test_validation_measures_the_gain_over_bicubic(trainee):
    with torch.no_grad():
        for parameter in trainee.network.parameters():
            parameter.zero_()
    assert abs(trainee.validate(trainee.network)["score"]) < 0.05  # a network that adds nothing is bicubic


def test_small_versions_are_scale_times_smaller_and_look_the_same():
    rng = np.random.default_rng(0)
    picture = random_sheet(rng)[:128, :128]
    for _ in range(8):
        small = made_small(picture, 4, rng, jpeg=0.5)
        assert small.shape == (32, 32, 3)
        means = picture.reshape(32, 4, 32, 4, 3).mean((1, 3))
        assert np.abs(means - small).mean() < 12


def test_variations_keep_the_size_and_the_seed_decides():
    picture = random_sheet(np.random.default_rng(0))[:64, :64]
    first, again = (varied(picture, np.random.default_rng(5)) for _ in range(2))
    assert first.shape == picture.shape
    assert np.array_equal(first, again)


def test_photos_train_at_four_sizes():
    assert [level.shape[0] for level in pyramid(np.zeros((400, 600, 3), np.uint8))] == [400, 200, 133, 100]


def test_luma_psnr_is_that_of_the_green_heavy_sum():
    true, off = torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16)
    off[:, 1] = 0.2
    assert luma_psnr(off, true, 2) == pytest.approx(-20 * np.log10(0.1 * 128.553 / 255), abs=1e-4)


def test_the_network_and_the_priors_enlarge_alike():
    small = torch.rand(5, 6, 3)
    assert torch.allclose(enlarge(small.permute(2, 0, 1)[None], 4)[0].permute(1, 2, 0), enlarged(small, 4))
