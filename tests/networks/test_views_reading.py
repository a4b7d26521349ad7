import torch
from scenes import camera_at

from gaussian_lens_app.networks.views import Views, project, sample


def views_of(camera, image: torch.Tensor) -> Views:
    size = torch.tensor([[camera.width, camera.height]]).float()
    return Views(image[None], torch.zeros(1, 1, 1, 1), camera.viewmat[None], camera.K[None], size)


def test_reading_at_a_pixel_centre_gives_that_pixel_even_in_a_window():
    camera = camera_at(0.2, width=64).cropped((8, 4, 40, 36))
    image = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    pixels = camera.pixel_centres()[5:9, 20:30].reshape(-1, 2)
    points = camera.unproject(pixels, torch.full((len(pixels),), 3.0))
    found, seen = project(points, views_of(camera, image))
    assert bool(seen.all())
    values = sample(image[None], found, (32, 32))[:, 0]
    torch.testing.assert_close(values, image[:, 5:9, 20:30].reshape(3, -1).T, atol=1e-4, rtol=1e-4)


def test_coarser_maps_are_read_at_the_same_place():
    camera = camera_at(0.0, width=64)
    ramp = camera.pixel_centres().permute(2, 0, 1)
    halved = torch.nn.functional.avg_pool2d(ramp[None], 2)
    points = camera.unproject(torch.tensor([[20.3, 11.7]]), torch.tensor([2.0]))
    pixels, _ = project(points, views_of(camera, ramp))
    torch.testing.assert_close(sample(halved, pixels, (48, 64))[0, 0], torch.tensor([20.3, 11.7]), atol=1e-3, rtol=0)


def test_points_behind_the_camera_or_beside_the_window_are_not_seen():
    camera = camera_at(0.0, width=64)
    behind = camera.position - camera.forward
    beside = camera.unproject(torch.tensor([-3.0, 10.0]), torch.tensor(2.0))
    _, seen = project(torch.stack([behind, beside]), views_of(camera, torch.zeros(3, 48, 64)))
    assert not bool(seen.any())
