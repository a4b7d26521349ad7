"""Which photos of a region are looked at."""

import torch
from scenes import Board, camera_at

from gaussian_lens_app.raster import ANTIALIASED
from gaussian_lens_app.scene import Box, Capture, Photo
from gaussian_lens_app.select.photos import CANDIDATES, ELSEWHERE, rank_photos


def angles_looked_from(board: Board, rasterizer, angles: list[float]) -> list[float]:
    """Of photos taken from these angles, which are looked at for a box drawn from straight ahead; best first."""
    photos = tuple(
        Photo(f"{i}.png", camera, torch.zeros(camera.height, camera.width, 3, dtype=torch.uint8))
        for i, camera in enumerate(map(camera_at, angles))
    )
    camera, scene = camera_at(0.0), board.scene
    everything = torch.ones(len(scene), dtype=torch.bool)
    views, _ = rank_photos(
        scene, everything, scene.opacities, Box(camera, camera.rect), Capture(photos), rasterizer, ANTIALIASED, 0.1
    )
    return [angles[view.photo] for view in views]


def test_a_few_photos_come_from_elsewhere_so_that_a_fit_is_right_from_all_sides(textured_board, fast_rasterizer):
    near, far = [0.01 * i for i in range(12)], [-0.7, 0.7, 0.72]
    found = angles_looked_from(textured_board, fast_rasterizer, near + far)
    assert len(found) == CANDIDATES
    assert {-0.7, 0.72} <= set(found)  # 0.7 shows little that 0.72 does not
    assert len(set(near) & set(found)) >= CANDIDATES - ELSEWHERE


def test_of_few_photos_none_is_left_out(textured_board, fast_rasterizer):
    angles = [0.0, 0.1, 0.5, -0.5]
    assert sorted(angles_looked_from(textured_board, fast_rasterizer, angles)) == sorted(angles)
