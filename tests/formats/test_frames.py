"""Turning a scene turns everything in it, what depends on the view included."""

import numpy as np
import pytest
import torch
from splats import same_bits, some_gaussians

from gaussian_lens_app.formats.frames import RUB, quaternions, sh_turn, swap_rub, transformed
from gaussian_lens_app.formats.packing import arrays_of
from gaussian_lens_app.raster.sh import sh_colors
from gaussian_lens_app.scene import Gaussians
from gaussian_lens_app.scene.gaussians import rotations


def some_turn(seed: int) -> np.ndarray:
    u, _, v = np.linalg.svd(np.random.default_rng(seed).normal(size=(3, 3)))
    return u @ v if np.linalg.det(u @ v) > 0 else -(u @ v)


def covariances(g: Gaussians) -> torch.Tensor:
    half = rotations(g.quats.double()) * g.log_scales.double().exp()[:, None]
    return half @ half.transpose(1, 2)


TURNS = {"turn": some_turn(1), "mirror": np.diag([1.0, 1, -1]), "both": -some_turn(2), "grown": 2.5 * some_turn(3)}
TURNS["stretched"] = np.array([[2.0, 0.3, 0], [0, 1, 0], [0.1, 0, 0.5]])


@pytest.mark.parametrize("name", TURNS)
def test_means_and_covariances_follow_the_matrix(name):
    g, M, t = some_gaussians(40, 2), TURNS[name], np.array([1.0, -2, 3])
    moved = transformed(g, M, t)
    m = torch.from_numpy(M)
    torch.testing.assert_close(moved.means.double(), g.means.double() @ m.T + torch.from_numpy(t), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(covariances(moved), m @ covariances(g) @ m.T, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", ["turn", "mirror", "both"])
@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_colours_follow_the_direction_they_are_seen_from(name, degree):
    g, M = some_gaussians(40, degree), torch.from_numpy(TURNS[name]).float()
    directions = torch.nn.functional.normalize(torch.randn(40, 3, generator=torch.Generator().manual_seed(4)), dim=1)
    moved = transformed(g, TURNS[name])
    seen = sh_colors(directions, torch.cat([g.sh0, g.shN], 1), degree)
    after = sh_colors(directions @ M.T, torch.cat([moved.sh0, moved.shN], 1), degree)
    torch.testing.assert_close(after, seen, atol=1e-4, rtol=0)


def test_swapping_axes_twice_restores_the_bits_and_is_the_general_turn():
    g = some_gaussians(30, 4)
    arrays = arrays_of(g.map(torch.clone))
    swap_rub(arrays)
    turned, general = arrays.gaussians(), transformed(g, RUB)
    torch.testing.assert_close(turned.means, general.means)
    torch.testing.assert_close(turned.shN, general.shN, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(covariances(turned), covariances(general), atol=1e-6, rtol=1e-4)
    swap_rub(arrays)
    assert same_bits(arrays.gaussians(), g)


def test_quaternions_are_those_of_their_matrices():
    quats = torch.nn.functional.normalize(
        torch.randn(200, 4, generator=torch.Generator().manual_seed(0)).double(), dim=1
    )
    again = quaternions(rotations(quats))
    torch.testing.assert_close(rotations(again), rotations(quats), atol=1e-9, rtol=0)
    half = torch.tensor([[0.0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]]).double()
    torch.testing.assert_close(rotations(quaternions(rotations(half))), rotations(half))


def test_half_turns_only_change_signs_of_harmonics():
    matrix = sh_turn(4, RUB)
    assert set(np.abs(matrix).ravel().tolist()) == {0.0, 1.0}
    assert (matrix == np.diag(np.diag(matrix))).all()
