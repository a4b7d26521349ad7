"""What GaussianVAE learns from."""

import random

import pytest
import torch
from lineages.splats import random_scene

from gaussian_lens_app.lineages.families import Families, families
from gaussian_lens_app.lineages.growing import Level
from gaussian_lens_app.networks.gaussian_vae import GaussianVAE
from gaussian_lens_app.raster import Rasterizer
from gaussian_lens_app.training.gaussian_vae import (
    VAESettings,
    VAETrainee,
    cyclic,
    family_chamfer,
    family_figures,
    random_window,
    window_errors,
)
from gaussian_lens_app.training.lineages import Windows, windows


@pytest.fixture(scope="module")
def examples() -> Families:
    """Children that lie half a unit up along their parent's longest axis, smaller and brighter."""
    coarse = random_scene(300, 1)
    fine = coarse.take(torch.arange(300))
    fine.log_scales[:] -= 0.4
    fine.sh0[:] += 0.2
    parents = torch.arange(300)
    return families((Level(64, coarse, coarse, parents), Level(96, fine, fine, parents)), 0, "mixed", False, 300, 0)


@pytest.fixture(scope="module")
def board_windows(textured_board, fast_rasterizer) -> Windows:
    return windows(textured_board.scene, textured_board.capture.photos[:2], fast_rasterizer)


def trainee(examples: Families, shown: list[Windows], rasterizer: Rasterizer, **settings) -> VAETrainee:
    torch.manual_seed(0)
    chosen = VAESettings(batch=128, windows=2, side=48, **settings)
    return VAETrainee(GaussianVAE(), chosen, [examples], shown, [examples], shown, rasterizer)


def test_the_weight_of_the_divergence_rises_and_stays_in_every_cycle():
    assert [cyclic(number, 8) for number in range(9)] == [0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 0]


def test_a_familys_chamfer_does_not_mind_which_child_is_which():
    wanted = torch.randn(20, 3, 3)
    exists = torch.tensor([[False, True, True]]).repeat(20, 1)
    swapped = wanted[:, [0, 2, 1]]
    assert float(family_chamfer(swapped, wanted, exists).abs().max()) == 0
    assert float(family_chamfer(wanted + 0.1, wanted, exists).min()) > 0


def test_updates_bring_nodes_nearer_to_what_came_next(examples, fast_rasterizer):
    training = trainee(examples, [], fast_rasterizer, picture=0.0)
    adam = torch.optim.Adam(training.network.parameters(), 3e-3)
    before = family_figures(training.network, [examples])
    for number in range(15):
        training.losses(training.network, number, 0.0)
        adam.step()
        adam.zero_grad()
    after = family_figures(training.network, [examples])
    assert before["appearance_ratio"] == pytest.approx(1.0)
    assert after["appearance_ratio"] < 0.9
    assert after["exist_ratio"] < 0.7


def test_windows_compare_children_with_photos(examples, board_windows, fast_rasterizer):
    training = trainee(examples, [board_windows], fast_rasterizer)
    photo, rect = random_window(board_windows, 48, 400, random.Random(0))
    before, after = window_errors(training.network, board_windows, photo, rect, 0.0, True, fast_rasterizer)
    assert float(after.detach()) == pytest.approx(float(before), rel=1e-3)
    figures = training.losses(training.network, 0, 0.0)
    assert abs(figures["gain_db"]) < 3
    assert float(training.network.geometry.shown.weight.grad.abs().max()) > 0


def test_node_heads_alone_leave_what_is_shown_as_it_was(examples, board_windows, fast_rasterizer):
    training = trainee(examples, [], fast_rasterizer, picture=0.0)
    VAETrainee.only_nodes(training.network)
    training.losses(training.network, 0, 0.0)
    touched = {name for name, value in training.network.named_parameters() if value.grad is not None}
    assert touched == {f"{model}.nodes.{kind}" for model in ("geometry", "appearance") for kind in ("weight", "bias")}
