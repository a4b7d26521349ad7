"""The plane sweep's training on procedural captures."""

import pytest
import torch

from gaussian_lens_app.networks.plane_sweep import PlaneSweep
from gaussian_lens_app.raster import Rasterizer
from gaussian_lens_app.training import plane_sweep
from gaussian_lens_app.training.plane_sweep import VALIDATION, SweepSettings, SweepTrainee
from gaussian_lens_app.training.worlds import WorldSettings

TINY = SweepSettings(world=WorldSettings(photos=6, width=64, height=48, textures=2))


def seeds_of(rank: int, updates: int, rasterizer: Rasterizer, monkeypatch: pytest.MonkeyPatch, begun: int = 0) -> set:
    """Of the captures that one of two processes makes, each of the same pixels here."""
    made, seen = plane_sweep.random_capture(1, (), TINY.world), []
    monkeypatch.setattr(plane_sweep, "random_capture", lambda seed, *_: (seen.append(seed), made)[1])
    trainee = SweepTrainee(PlaneSweep(), TINY, rasterizer)
    for update in range(begun, begun + updates):
        trainee.losses(trainee.network, 2 * update + rank, 0.0)
    monkeypatch.undo()
    return set(seen)


def test_two_processes_train_on_captures_of_their_own(fast_rasterizer, monkeypatch):
    one, two = (seeds_of(rank, 3, fast_rasterizer, monkeypatch) for rank in (0, 1))
    assert (len(one), len(two)) == (3, 3)
    assert one.isdisjoint(two)


def test_captures_that_validate_are_not_trained_on_however_late_training_goes_on(fast_rasterizer, monkeypatch):
    assert max(seeds_of(0, 1, fast_rasterizer, monkeypatch, begun=VALIDATION)) < VALIDATION


def test_an_update_gives_every_weight_a_gradient(fast_rasterizer):
    torch.manual_seed(0)
    trainee = SweepTrainee(PlaneSweep(), TINY, fast_rasterizer)
    figures = trainee.losses(trainee.network, 0, 0.0)
    assert set(figures) == {"planes", "right", "psnr"}
    assert all(parameter.grad is not None for parameter in trainee.network.parameters())
