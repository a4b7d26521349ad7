"""Splats that hang before the cameras, out of every photo's frame."""

import dataclasses
import math

import pytest
import torch
from scenes import Board, camera_at
from veiled import VEIL, ball

from gaussian_lens_app.evaluation.modes import readied
from gaussian_lens_app.jobs.report import silent
from gaussian_lens_app.methods import Budget, Task
from gaussian_lens_app.methods.fit_scene import FitScene, FitSceneSettings
from gaussian_lens_app.raster import ANTIALIASED
from gaussian_lens_app.scene import Gaussians
from gaussian_lens_app.select import whole_region
from gaussian_lens_app.select.veils import veils


def which(board: Board, rasterizer, added: Gaussians) -> list[bool]:
    """For those added, whether each is a veil; nothing else is one."""
    found = veils(Gaussians.concat([board.scene, added]), board.capture, rasterizer, ANTIALIASED)
    assert not bool(found[: len(board.scene)].any())
    return found[len(board.scene) :].tolist()


def test_a_large_splat_below_the_views_is_a_veil(textured_board, fast_rasterizer):
    assert which(textured_board, fast_rasterizer, ball(VEIL, 0.3)) == [True]


@pytest.mark.parametrize(
    ("why", "other"),
    [
        ("photos frame it", ball((0.0, 0.2, -1.5), 0.3)),
        ("it is small", ball(VEIL, 0.02)),
        ("it is as far as what photos show", ball((0.0, 6.0, 2.0), 0.5)),
        ("photos show much of it", ball((0.0, 1.6, -1.6), 0.6)),
    ],
)
def test_what_photos_would_miss_or_nobody_would_see_is_none(textured_board, fast_rasterizer, why, other):
    assert which(textured_board, fast_rasterizer, other) == [False], why


def test_without_photos_nothing_is_one(textured_board, fast_rasterizer):
    scene = Gaussians.concat([textured_board.scene, ball(VEIL, 0.3)])
    assert not bool(veils(scene, textured_board.capture.only([]), fast_rasterizer, ANTIALIASED).any())


def test_upgrades_start_without_veils_and_know_the_other_splats(textured_board, fast_rasterizer):
    scene = Gaussians.concat([ball(VEIL, 0.3), textured_board.scene])
    cameras = [photo.camera for photo in textured_board.capture.photos]
    ready, rows = readied(scene, textured_board.capture, cameras, fast_rasterizer, ANTIALIASED.scaled(2))
    assert rows.tolist() == list(range(1, len(scene)))
    assert torch.equal(ready.means, scene.means[1:])
    assert bool((ready.scales >= scene.scales[1:] * 0.999).all())  # and band-limited: as large, or larger


def test_fitting_the_scene_takes_veils_away_and_a_camera_turned_down_sees_the_room(textured_board, fast_rasterizer):
    scene = Gaussians.concat([ball(VEIL, 0.3), textured_board.scene])
    region = whole_region(scene, textured_board.capture)
    task = Task(scene, region, fast_rasterizer, textured_board.capture, budget=Budget(600, 100_000))
    patch = FitScene(FitSceneSettings(rounds=1))(task, silent)
    assert patch.provenance["veils"] == 1
    assert 0 not in patch.parents
    assert len(patch.removed) == len(scene)
    down = camera_at(0.0)
    turn = torch.eye(4)
    turn[1, 1] = turn[2, 2] = math.cos(0.7)
    turn[1, 2], turn[2, 1] = -math.sin(0.7), math.sin(0.7)
    down = dataclasses.replace(down, viewmat=turn @ down.viewmat)
    before = fast_rasterizer.render(scene, down).alpha
    after = fast_rasterizer.render(patch.apply(scene), down).alpha
    assert float((before - after).max()) > 0.5
    kept = FitScene(FitSceneSettings(rounds=1, clear=False))(task, silent)
    assert kept.provenance["veils"] == 0
