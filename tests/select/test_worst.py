import pytest
import torch
from scenes import Board

from gaussian_lens_app.methods.view_gradients import scene_scores
from gaussian_lens_app.raster import ANTIALIASED
from gaussian_lens_app.select.region import centres_in_box
from gaussian_lens_app.select.worst import worst_boxes


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
