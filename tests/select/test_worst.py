import dataclasses

import pytest
import torch
from scenes import Board, camera_at

from gaussian_lens_app.methods.view_gradients import scene_scores
from gaussian_lens_app.raster import ANTIALIASED, CLASSIC
from gaussian_lens_app.select.region import centres_in_box
from gaussian_lens_app.select.worst import boxes_in_view, map_camera, worst_boxes


@pytest.fixture(scope="module")
def scores(textured_board: Board, fast_rasterizer):
    return scene_scores(textured_board.scene, textured_board.capture, fast_rasterizer, ANTIALIASED)


def test_boxes_lie_inside_photos_over_what_scores_high(textured_board: Board, scores, fast_rasterizer):
    scene, capture = textured_board.scene, textured_board.capture
    boxes = worst_boxes(scene, scores, capture, fast_rasterizer, ANTIALIASED)
    assert len(boxes) == 3
    for box in boxes:
        x0, y0, x1, y1 = box.rect
        assert 0 <= x0 < x1 <= box.camera.width
        assert 0 <= y0 < y1 <= box.camera.height
        inside = centres_in_box(scene, box) & (scene.means[:, 2] < 0.5)
        assert float(scores[inside].mean()) > float(scores.mean())


def test_one_bad_place_gives_one_box_over_it(textured_board: Board, fast_rasterizer):
    scene = textured_board.scene
    bad = (scene.means - torch.tensor([0.8, 0.4, 0.0])).norm(dim=1) < 0.15
    boxes = worst_boxes(scene, bad.float(), textured_board.capture, fast_rasterizer, ANTIALIASED)
    assert len(boxes) == 1
    assert float(centres_in_box(scene, boxes[0])[bad].float().mean()) > 0.9


def test_no_place_is_boxed_twice(textured_board: Board, scores, fast_rasterizer):
    scene = textured_board.scene
    boxes = worst_boxes(scene, scores, textured_board.capture, fast_rasterizer, ANTIALIASED, count=5)
    held = [centres_in_box(scene, box) for box in boxes]
    for i, one in enumerate(held):
        for other in held[:i]:
            assert int((one & other & (scores > scores.median())).sum()) < 0.5 * int(one.sum())


def test_a_scene_without_faults_has_no_worst_place(textured_board: Board, fast_rasterizer):
    none = torch.zeros(len(textured_board.scene))
    assert worst_boxes(textured_board.scene, none, textured_board.capture, fast_rasterizer, ANTIALIASED) == []


@pytest.mark.parametrize("mode", [CLASSIC, ANTIALIASED, ANTIALIASED.scaled(4)])
def test_the_mean_of_a_box_is_that_of_the_view_at_full_size(textured_board: Board, scores, fast_rasterizer, mode):
    """The scene's splats are fine enough here for the filter to matter."""
    scene = dataclasses.replace(textured_board.scene, log_scales=textured_board.scene.log_scales - 1.2)
    camera = camera_at(0.1, width=960)
    drawn = fast_rasterizer.render(scene, camera, mode=mode, features=scores[:, None]).features[..., 0]
    found = boxes_in_view(scene, scores, camera, fast_rasterizer, mode)
    assert found
    for value, box in found:
        x0, y0, x1, y1 = box.rect
        assert value == pytest.approx(float(drawn[y0:y1, x0:x1].mean()), rel=0.02)


def test_a_weight_says_which_places_of_a_view_count(textured_board: Board, scores, fast_rasterizer):
    scene, camera = textured_board.scene, camera_at(0.1, width=960)
    small = map_camera(camera)
    right = (torch.arange(small.width) > small.width / 2).float().expand(small.height, -1)
    plain = boxes_in_view(scene, scores, camera, fast_rasterizer, ANTIALIASED)
    on_the_right = boxes_in_view(scene, scores, camera, fast_rasterizer, ANTIALIASED, weight=right)
    assert any(sum(box.rect[::2]) < camera.width for _, box in plain)
    assert on_the_right
    assert all(sum(box.rect[::2]) > camera.width for _, box in on_the_right)
