import pytest
import torch

from gaussian_lens_app.scene import Camera


@pytest.fixture
def camera() -> Camera:
    viewmat = torch.eye(4)
    angle = torch.tensor(0.3)
    viewmat[0, 0] = viewmat[2, 2] = angle.cos()
    viewmat[0, 2], viewmat[2, 0] = angle.sin(), -angle.sin()
    viewmat[:3, 3] = torch.tensor([0.2, -0.1, 0.5])
    K = torch.tensor([[500.0, 0, 300], [0, 480, 210], [0, 0, 1]])
    return Camera(viewmat, K, 640, 400)


def test_unprojecting_a_projection_gives_the_point_back(camera):
    points = torch.randn(50, 3) + torch.tensor([0, 0, 6.0])
    pixels, depths = camera.project(points)
    torch.testing.assert_close(camera.unproject(pixels, depths), points, atol=1e-4, rtol=1e-4)


def test_a_crop_moves_the_principal_point_only(camera):
    points = torch.randn(20, 3) + torch.tensor([0, 0, 6.0])
    cropped = camera.cropped((100, 50, 300, 250))
    torch.testing.assert_close(cropped.project(points)[0], camera.project(points)[0] - torch.tensor([100.0, 50.0]))
    assert (cropped.width, cropped.height) == (200, 200)


def test_a_shift_moves_what_is_shown_by_so_many_pixels(camera):
    points = camera.unproject(torch.tensor([[3.0, 4.0], [7.5, 2.0]]), torch.tensor([2.0, 5.0]))
    moved, _ = camera.shifted(torch.tensor([1.5, -0.5])).project(points)
    assert torch.allclose(moved, torch.tensor([[4.5, 3.5], [9.0, 1.5]]), atol=1e-4)


def test_resizing_scales_every_pixel_position(camera):
    points = torch.randn(20, 3) + torch.tensor([0, 0, 6.0])
    half = camera.with_long_side(320)
    torch.testing.assert_close(half.project(points)[0] * 2, camera.project(points)[0], atol=1e-3, rtol=1e-5)
    assert (half.width, half.height) == (320, 200)


def test_the_position_is_where_everything_projects_from(camera):
    torch.testing.assert_close(camera.to_camera(camera.position[None])[0], torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(camera.camtoworld[:3, 3], camera.position, atol=1e-6, rtol=1e-6)


def test_pixel_centres_of_a_window_are_those_of_the_whole(camera):
    whole, window = camera.pixel_centres(), camera.pixel_centres((10, 20, 30, 25))
    assert torch.equal(window, whole[20:25, 10:30])
    assert whole[0, 0].tolist() == [0.5, 0.5]
