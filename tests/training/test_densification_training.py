import dataclasses
import random

import pytest
import torch
from lens_samples import lens_inputs, lens_task
from scenes import Board

from gaussian_lens_app.methods.targets import make_target
from gaussian_lens_app.networks.generative_densification import CPU, GenerativeDensification
from gaussian_lens_app.raster import ANTIALIASED
from gaussian_lens_app.scene import PhotoView
from gaussian_lens_app.training.densification import (
    STAGES,
    DensificationSamples,
    DensificationTrainee,
    drawn,
    halved,
    highest,
    make_ready,
    run_sample,
)
from gaussian_lens_app.training.run import Run, RunSettings
from gaussian_lens_app.training.samples import Sample, save_samples

SETTINGS = DensificationSamples(None, accumulate=1, validation_samples=1)  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module")
def sample(textured_board: Board, fast_rasterizer) -> Sample:
    """A box of the board, measured on the third photo, which neither scene nor inputs have seen."""
    inputs = lens_inputs(lens_task(textured_board, fast_rasterizer))
    mask = torch.ones(40, 80, dtype=torch.bool)
    view = PhotoView(2, (80, 70, 160, 110), mask, overlap=1, resolution=1, cosine=1, score=1)
    target = make_target(textured_board.scene, textured_board.capture, view, fast_rasterizer, ANTIALIASED)
    return Sample(inputs, (target,), 3)


def test_a_halved_window_is_the_window_of_the_halved_photo(textured_board: Board, sample):
    window = sample.inputs.windows[0]
    small = halved(window)
    photo = textured_board.capture.named(window.name)
    half = dataclasses.replace(photo, camera=photo.camera.resized(photo.camera.width // 2, photo.camera.height // 2),
                               resize=True)  # fmt: skip
    torch.testing.assert_close(small.photo, half.crop(small.rect), atol=1 / 255, rtol=0)
    assert small.mask.shape == small.photo.shape[:2]
    points = sample.inputs.old.means
    torch.testing.assert_close(small.camera.project(points)[0] * 2, window.camera.project(points)[0])
    x0, y0, x1, y1 = window.rect
    assert (small.rect[2] - small.rect[0], small.rect[3] - small.rect[1]) >= ((x1 - x0) // 2 - 1, (y1 - y0) // 2 - 1)


def test_each_use_draws_other_photos_gaussians_and_shares(sample, fast_rasterizer):
    ready = make_ready(sample, fast_rasterizer, half=False)
    uses = [drawn(ready, random.Random(seed), SETTINGS) for seed in range(6)]
    assert len({use.share for use in uses}) == 6
    assert len({int(use.rows.sum()) for use in uses if use.rows is not None}) > 2
    for use in uses:
        assert len(use.looks) == len(use.inputs.windows) >= 2


def test_the_highest_part_is_taken():
    rows = highest(torch.tensor([0.1, 0.5, 0.3, 0.9]), 0.5)
    assert rows.tolist() == [False, True, False, True]
    assert int(highest(torch.rand(5), 0.0).sum()) == 1


def test_every_part_of_the_network_learns(sample, fast_rasterizer):
    torch.manual_seed(0)
    network = GenerativeDensification(CPU)
    for layer in network.layers:
        for last in (
            layer.up.offset[-1],
            layer.head.out[-1],
            *([] if layer.split is None else [layer.split.score[-1]]),
        ):
            torch.nn.init.normal_(last.weight, std=0.05)
    ready = drawn(make_ready(sample, fast_rasterizer, half=True), random.Random(0), SETTINGS)
    gains = run_sample(network, dataclasses.replace(ready, share=0.5), fast_rasterizer, 1.0)
    assert set(STAGES) < set(gains)
    # Pixel Gaussians have a head of their own in the trunk, which densification does not need.
    idle = [
        name
        for name, value in network.named_parameters()
        if not name.startswith("trunk") and (value.grad is None or float(value.grad.abs().max()) == 0)
    ]
    assert idle == []


def test_training_on_one_sample_gains_on_its_target_and_goes_on_later(sample, fast_rasterizer, tmp_path):
    data = tmp_path / "data"
    save_samples(data / "train-procedural-000001.pt", [sample] * 4, {})
    save_samples(data / "val-procedural-000010.pt", [sample], {})
    settings = dataclasses.replace(SETTINGS, data=data, halved=0.0)

    def training() -> Run:
        torch.manual_seed(0)
        trainee = DensificationTrainee(GenerativeDensification(CPU), settings, tmp_path, fast_rasterizer)
        return Run(trainee, RunSettings(tmp_path, hours=1, rate=3e-3, warm_up=1, average=0.0), tell=lambda line: None)

    first = training()
    before = first.validate()["score"]
    first.run(updates=6)
    assert first.validate()["score"] > before + 0.1
    assert training().updates == 6
