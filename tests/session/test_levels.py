"""Fewer Gaussians while the camera moves, all of them at rest."""

import torch
from fakes import random_scene, same_bits, session_of
from scenes import camera_at

from gaussian_lens_app.session import painting
from gaussian_lens_app.session.levels import coarser, importance
from gaussian_lens_app.session.looks import Looks
from gaussian_lens_app.session.painting import Painter


def test_what_covers_more_counts_more():
    scene = random_scene(4)
    scene.log_scales[:] = torch.tensor([[0.0, 0, -9], [1, 1, -9], [0, 0, -9], [-3, 3, 0]])
    scene.logit_opacities[:] = torch.tensor([0.0, 0, 2, 0])
    assert importance(scene).argsort(descending=True).tolist() == [3, 1, 2, 0]


def test_the_important_ones_stay_in_order():
    scene = random_scene(50)
    fewer = coarser(scene, 20)
    kept = importance(scene).topk(20).indices.sort().values
    assert same_bits(fewer, scene.take(kept))
    assert coarser(scene, 50) is scene


def test_a_moving_picture_is_of_few_and_one_at_rest_of_all(textured_board, fast_rasterizer, monkeypatch):
    monkeypatch.setattr(painting, "MOVING_GAUSSIANS", 100)
    session = session_of(textured_board.scene)
    session.rasterizer = fast_rasterizer
    painter, camera = Painter(session), camera_at(0.0)
    exact = fast_rasterizer.render(textured_board.scene, camera, mode=session.mode).rgb
    moving = painter.paint(camera, Looks(), moving=True)
    assert torch.equal(painter.paint(camera, Looks()), exact)
    assert not torch.equal(moving, exact)
    few = fast_rasterizer.render(coarser(textured_board.scene, 100), camera, mode=session.mode).rgb
    assert torch.equal(moving, few)
    session.close()


def test_half_of_the_gaussians_keep_most_of_the_picture(textured_board, fast_rasterizer):
    scene, camera = textured_board.truth, camera_at(0.0)
    scene = type(scene).concat([scene, scene.take(torch.arange(0, len(scene), 2))])
    whole, half = (fast_rasterizer.render(one, camera).alpha for one in (scene, coarser(scene, len(scene) // 2)))
    assert float(half.mean()) > 0.8 * float(whole.mean())
