import torch
from scenes import camera_at

from gaussian_lens_app.networks.plane_sweep import Pinholes, PlaneSweep, read_depth, warp_grid


def pinholes(*angles):
    cameras = [camera_at(angle, width=40, height=30) for angle in angles]
    return cameras, Pinholes(torch.stack([c.viewmat for c in cameras]), torch.stack([c.K for c in cameras]))


def test_pixels_are_warped_where_the_cameras_project_them():
    cameras, both = pinholes(-0.1, 0.2)
    planes = torch.tensor([1 / 2.5, 1 / 3.5, 1 / 5.0])
    grid, inside = warp_grid(both, 1, planes, (30, 40))
    for number, plane in enumerate(planes):
        depth = torch.full((30, 40), 1 / float(plane))
        points = cameras[0].unproject(cameras[0].pixel_centres(), depth).reshape(-1, 3)
        pixels, _ = cameras[1].project(points)
        wanted = pixels / torch.tensor([40.0, 30.0]) * 2 - 1
        got = grid.view(3, -1, 2)[number]
        seen = inside[number].flatten() > 0
        torch.testing.assert_close(got[seen], wanted[seen], atol=1e-4, rtol=0)
        assert torch.equal(seen, (wanted.abs() < 1).all(-1))


def test_depth_is_read_between_the_planes_about_the_best_one():
    planes = torch.linspace(1.0, 0.2, 9)
    logits = torch.full((9, 1, 1), -50.0)
    logits[3], logits[4] = 1.0, 1.0
    logits[8] = 0.5  # another mode, too far from the best to share in its depth
    depth, confidence = read_depth(logits, planes)
    torch.testing.assert_close(1 / depth[0, 0], (planes[3] + planes[4]) / 2)
    share = 2 * torch.tensor(1.0).exp() / (2 * torch.tensor(1.0).exp() + torch.tensor(0.5).exp())
    torch.testing.assert_close(confidence[0, 0], share)


def test_an_untrained_sweep_finds_a_textured_plane():
    """Colour alone tells the plane before anything is learned."""
    torch.manual_seed(0)
    cameras, three = pinholes(0.0, 0.12, -0.12)
    texture = torch.nn.functional.interpolate(torch.rand(1, 3, 24, 32), (120, 160), mode="bilinear")
    photos = []
    for camera in cameras:
        rays = camera.unproject(camera.pixel_centres(), torch.ones(30, 40)) - camera.position
        hit = camera.position + rays * (-camera.position[2] / rays[..., 2])[..., None]  # the plane z = 0
        grid = (hit[..., :2] / torch.tensor([2.6, 2.0]))[None]
        photos.append(torch.nn.functional.grid_sample(texture, grid, align_corners=False, padding_mode="border")[0])
    small = torch.stack(photos)
    network = PlaneSweep()
    features = network.describe(torch.nn.functional.interpolate(small, scale_factor=2))
    with torch.no_grad():
        swept = network(small, features, three, (1 / 6, 1 / 2))
    middle = swept.depth[8:22, 10:30]
    assert float(((middle / 3.5 - 1).abs() < 0.06).float().mean()) > 0.8
