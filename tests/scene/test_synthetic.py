"""Cameras where no photo was taken."""

import math

import pytest
import torch
from lineages.splats import random_scene
from scenes import camera_at

from gaussian_lens_app.scene import Box
from gaussian_lens_app.scene.synthetic import cameras_around, cameras_near, looking_at


def test_synthetic_cameras_look_at_the_middle_from_all_around():
    scene = random_scene(500)
    cameras = cameras_around(scene)
    middle = scene.means.median(0).values
    ways = []
    for camera in cameras:
        pixels, _ = camera.project(middle[None])
        torch.testing.assert_close(pixels[0], torch.tensor([camera.width / 2, camera.height / 2]), atol=1e-2, rtol=0)
        inside, depths = camera.project(scene.means)
        assert float(depths.min()) > 0
        assert float(((inside > 0) & (inside < camera.width)).all(-1).float().mean()) > 0.85
        torch.testing.assert_close(torch.linalg.det(camera.viewmat[:3, :3]), torch.tensor(1.0))
        ways.append(torch.nn.functional.normalize(camera.position - middle, dim=0))
    assert float(torch.stack(ways).mean(0).norm()) < 0.2


def test_cameras_by_a_box_begin_with_the_users_and_keep_its_distance():
    user = camera_at(0.3, distance=4.0)
    cameras = cameras_near(Box(user, (0, 0, 50, 50)), torch.zeros(3))
    torch.testing.assert_close(cameras[0].position, user.position, atol=1e-4, rtol=0)
    for camera in cameras:
        torch.testing.assert_close(camera.position.norm(), torch.tensor(4.0), atol=1e-3, rtol=0)
        torch.testing.assert_close(
            camera.project(torch.zeros(1, 3))[0][0], torch.tensor([160.0, 160.0]), atol=1e-2, rtol=0
        )


@pytest.mark.parametrize("direction", [(0, 1, 0), (0, -1, 0), (1, 0, 0), (0.1, 0.9, -0.4)])
def test_a_camera_looks_where_it_is_told_with_the_field_of_view_asked_for(direction):
    place = torch.tensor([1.0, 2, 3])
    target = place + 5 * torch.nn.functional.normalize(torch.tensor(direction, dtype=torch.float32), dim=0)
    camera = looking_at(place, target, 100, math.radians(60))
    torch.testing.assert_close(camera.position, place, atol=1e-4, rtol=0)
    edge = camera.camtoworld[:3] @ torch.tensor([math.tan(math.radians(30)), 0, 1, 1])
    pixels, _ = camera.project(torch.stack([target, edge]))
    torch.testing.assert_close(pixels, torch.tensor([[50.0, 50], [100, 50]]), atol=1e-2, rtol=0)
