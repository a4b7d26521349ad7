import dataclasses

import pytest
import torch
from scenes import Board, camera_at

from gaussian_lens_app.methods.gaussian_lens_features import RING_WEIGHT, look
from gaussian_lens_app.methods.targets import Target
from gaussian_lens_app.methods.view_gradients import LONG_SIDE, photo_scores, scene_scores, scores_of_looks
from gaussian_lens_app.raster import ANTIALIASED
from gaussian_lens_app.scene import Gaussians


@pytest.fixture(scope="module")
def window(textured_board: Board) -> Target:
    photo = textured_board.capture.photos[2]
    mask = torch.ones(photo.camera.height, photo.camera.width, dtype=torch.bool)
    pixels = photo.load().float() / 255
    return Target(photo.name, photo.camera, photo.camera.rect, pixels, mask, None)  # pyright: ignore[reportArgumentType]


def test_the_score_is_the_change_of_the_error_when_a_picture_of_one_gaussian_shifts(fast_rasterizer):
    # Shifting the principal point shifts the picture of a scene of one Gaussian: an oracle by finite differences.
    camera = camera_at(0.1, width=100)
    quats, scales = torch.tensor([[1.0, 0.1, 0.2, 0.0]]), torch.tensor([[0.3, 0.2, 0.1]])
    scene = Gaussians(
        torch.tensor([[0.1, -0.1, 0.0]]), quats, scales.log(), torch.zeros(1), torch.ones(1, 1, 3), torch.zeros(1, 0, 3)
    )
    torch.manual_seed(0)
    photo = torch.nn.functional.interpolate(torch.rand(1, 3, 8, 10), (75, 100), mode="bicubic")[0].permute(1, 2, 0)

    def error(dx: float, dy: float) -> float:
        K = camera.K.clone()
        K[0, 2] += dx
        K[1, 2] += dy
        rgb = fast_rasterizer.render(scene, dataclasses.replace(camera, K=K), mode=ANTIALIASED).rgb
        return float((rgb - photo).double().square().mean())

    step = 0.05
    slopes = [(error(step, 0) - error(-step, 0)) / (2 * step), (error(0, step) - error(0, -step)) / (2 * step)]
    expected = torch.tensor(slopes).norm() * 50
    found = photo_scores(scene, camera, camera.rect, photo, fast_rasterizer, ANTIALIASED, absolute=False)
    # Pixels at the edge come and go as the picture shifts, which no gradient sees.
    torch.testing.assert_close(found[0], expected.float(), rtol=0.1, atol=1e-7)


def test_absolute_gradients_are_at_least_the_plain_ones(textured_board: Board, fast_rasterizer):
    scene, capture = textured_board.scene, textured_board.capture
    plain, absolute = (scene_scores(scene, capture, fast_rasterizer, ANTIALIASED, kind) for kind in (False, True))
    assert bool((absolute >= plain - 1e-9).all())
    assert float(absolute.median()) > 1.5 * float(plain.median())


def test_what_the_photos_show_in_detail_scores_higher_than_the_plain_wall(textured_board: Board, fast_rasterizer):
    scores = scene_scores(textured_board.scene, textured_board.capture, fast_rasterizer, ANTIALIASED)
    wall = textured_board.scene.means[:, 2] > 0.5
    assert float(scores[~wall].median()) > 20 * float(scores[wall].median())


def test_a_scene_that_equals_its_photos_asks_for_nothing(textured_board: Board, fast_rasterizer):
    blurred, sharp = (
        scene_scores(scene, textured_board.capture, fast_rasterizer, ANTIALIASED).sum()
        for scene in (textured_board.scene, textured_board.truth)
    )
    assert float(sharp) < 0.05 * float(blurred)


def test_what_no_photo_sees_scores_nothing(textured_board: Board, fast_rasterizer):
    behind = dataclasses.replace(
        textured_board.scene, means=textured_board.scene.means + torch.tensor([0.0, 0.0, -50.0])
    )
    assert float(scene_scores(behind, textured_board.capture, fast_rasterizer, ANTIALIASED).abs().sum()) == 0


def test_looks_give_the_same_score_as_photos(textured_board: Board, window: Target, fast_rasterizer):
    scene, camera = textured_board.scene, window.camera
    assert max(camera.width, camera.height) <= LONG_SIDE
    one = look(Gaussians.empty(), scene, window, fast_rasterizer, ANTIALIASED, screen=True)
    alone = photo_scores(scene, camera, window.rect, window.photo, fast_rasterizer, ANTIALIASED)
    torch.testing.assert_close(scores_of_looks([one], [window]), alone, rtol=1e-3, atol=1e-9)
    assert RING_WEIGHT < 1  # The mask is full, so nothing is weighed down here.
