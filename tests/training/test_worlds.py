import numpy as np
import pytest
import torch
from scenes import camera_at

from gaussian_lens_app.training.raycast import CYLINDER, RECTANGLE, SPHERE, World, photograph, solid
from gaussian_lens_app.training.textures import SIZE, random_texture
from gaussian_lens_app.training.worlds import WorldSettings, random_capture

X, Y, Z = np.eye(3)
TINY = WorldSettings(photos=4, width=64, height=48, textures=2)


def world(*rows: np.ndarray) -> World:
    ramp = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    ramp[0, :, :, 0] = np.arange(SIZE) // 2
    ramp[0, :, :, 1] = 200
    return World(np.stack(rows), ramp, np.array([0.0, 0.0, -1.0]))


def test_a_sphere_is_as_deep_as_geometry_says():
    camera = camera_at(0.0, distance=3.5, width=65, height=49)
    ball = solid(SPHERE, np.zeros(3), X, Y, 1.0, 0.0, 0, 3.0)
    _, depth = photograph(world(ball), camera)
    assert depth[24, 32].item() == pytest.approx(2.5, abs=1e-3)
    assert depth[0, 0].item() == 0
    rows, columns = (depth > 0).nonzero(as_tuple=True)
    hits = camera.unproject(torch.stack([columns, rows], -1) + 0.5, depth[rows, columns])
    torch.testing.assert_close(hits.norm(dim=-1), torch.ones(len(hits)), atol=1e-3, rtol=0)


def test_a_cylinder_ends_and_the_nearer_solid_hides_the_other():
    camera = camera_at(0.0, distance=3.5, width=65, height=49)
    tube = solid(CYLINDER, np.zeros(3), X, Y, 0.5, 0.4, 0, 3.0)
    wall = solid(RECTANGLE, Z, X, Y, 9.0, 9.0, 0, 3.0)
    _, depth = photograph(world(wall, tube), camera)
    assert depth[24, 32].item() == pytest.approx(3.0, abs=1e-3)
    assert depth[2, 32].item() == pytest.approx(4.5, abs=1e-3)


def test_textures_lie_where_the_surface_says_and_are_shaded():
    camera = camera_at(0.0, distance=3.5, width=65, height=49)
    rgb, _ = photograph(world(solid(RECTANGLE, np.zeros(3), X, Y, 9.0, 9.0, 0, 8.0)), camera)
    left, right = rgb[24, 34, 0].item(), rgb[24, 60, 0].item()
    assert left < right
    assert rgb[24, 32, 1].item() == pytest.approx(200 / 255, abs=1e-3)


@pytest.mark.parametrize("seed", range(6))
def test_textures_are_repeatable_and_differ(seed):
    first, again, other = (random_texture(np.random.default_rng(s)) for s in (seed, seed, seed + 100))
    assert first.shape == (SIZE, SIZE, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.std() > 5


def test_the_same_seed_photographs_the_same_scene():
    one, two = (random_capture(7, settings=TINY) for _ in range(2))
    for a, b in zip(one.capture.photos, two.capture.photos, strict=True):
        assert torch.equal(a.load(), b.load())
        assert torch.equal(a.camera.viewmat, b.camera.viewmat)
    assert bool((one.depths[0] > 0).all())


def test_photos_of_a_scene_agree_where_its_depths_say():
    flawless = WorldSettings(
        photos=4, width=160, height=120, textures=3, pose_pixels=(0.0,), exposures=(0.0,), noises=(0.0,), blurs=(0.0,)
    )
    taken = random_capture(3, settings=flawless)
    first, second = taken.capture.photos[:2]
    pixels = first.camera.pixel_centres().reshape(-1, 2)
    points = first.camera.unproject(pixels, taken.depths[0].reshape(-1))
    there, depth = second.camera.project(points)
    inside = ((there > 2) & (there < torch.tensor([158.0, 118.0]))).all(-1)
    rows, columns = there[inside].long()[:, 1], there[inside].long()[:, 0]
    visible = (taken.depths[1][rows, columns] / depth[inside] - 1).abs() < 0.01
    assert visible.float().mean() > 0.4
    ours = (first.load().reshape(-1, 3)[inside][visible]).float()
    theirs = second.load()[rows, columns][visible].float()
    shuffled = theirs[torch.randperm(len(theirs), generator=torch.Generator().manual_seed(0))]
    assert (ours - theirs).abs().mean() < 0.5 * (ours - shuffled).abs().mean()
