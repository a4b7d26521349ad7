import torch
from scenes import board, camera_at

from gaussian_lens_app.methods.own_views import AROUND, own_views
from gaussian_lens_app.raster import ANTIALIASED
from gaussian_lens_app.raster.cpu import CpuRasterizer
from gaussian_lens_app.scene import Box

RASTERIZER = CpuRasterizer()


def everything(scene):
    return torch.ones(len(scene), dtype=torch.bool)


def test_cameras_beside_a_box_keep_what_is_in_it_in_the_middle():
    scene = board(RASTERIZER, photos=2, width=40).scene
    camera = camera_at(0.2, width=120)
    middle = scene.means[:, 2].abs() < 0.1
    capture = own_views(scene, middle, Box(camera, (40, 30, 80, 60)), RASTERIZER, ANTIALIASED)
    centre = scene.means[middle].median(0).values
    distance = (camera.position - centre).norm()
    places = []
    for photo in capture.photos:
        pixels, depths = photo.camera.project(centre[None])
        own, _ = camera.with_long_side(400).project(centre[None])
        torch.testing.assert_close(pixels, own, atol=0.05, rtol=0)
        torch.testing.assert_close((photo.camera.position - centre).norm(), distance, atol=1e-4, rtol=0)
        assert float(depths) > 0
        places.append(photo.camera.position)
    spread = torch.cdist(torch.stack(places), torch.stack(places))
    assert float(spread[~torch.eye(len(places), dtype=torch.bool)].min()) > 0.1


def test_pictures_are_of_the_scene_itself():
    scene = board(RASTERIZER, photos=2, width=40).scene
    camera = camera_at(0.0, width=100)
    capture = own_views(scene, everything(scene), Box(camera, (0, 0, 100, 75)), RASTERIZER, ANTIALIASED)
    first = capture.photos[0]
    shown = RASTERIZER.render(scene, first.camera, mode=ANTIALIASED).rgb
    assert float((first.load().float() / 255 - shown.clamp(0, 1)).abs().max()) < 0.51 / 255


def test_without_a_box_cameras_stand_all_around_and_look_at_the_middle():
    scene = board(RASTERIZER, photos=2, width=40).scene
    capture = own_views(scene, everything(scene), None, RASTERIZER, ANTIALIASED)
    assert len(capture) == AROUND
    centre = scene.means.median(0).values
    for photo in capture.photos:
        R = photo.camera.viewmat[:3, :3]
        torch.testing.assert_close(R @ R.T, torch.eye(3), atol=1e-5, rtol=0)
        assert float(torch.linalg.det(R)) > 0.99
        pixels, depths = photo.camera.project(centre[None])
        torch.testing.assert_close(pixels[0], torch.tensor([200.0, 200.0]), atol=0.1, rtol=0)
        assert float(depths) > 0
    directions = torch.stack([photo.camera.forward for photo in capture.photos])
    assert float(directions.mean(0).norm()) < 0.1
