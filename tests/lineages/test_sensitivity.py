"""Which Gaussians the picture depends on."""

import dataclasses

import torch
from lineages.splats import random_scene
from scenes import camera_at

from gaussian_lens_app.lineages.sensitivity import most_sensitive, sensitivity
from gaussian_lens_app.raster import ANTIALIASED
from gaussian_lens_app.scene import Camera, Gaussians

SMALL = Camera(torch.eye(4), torch.tensor([[8.0, 0, 4], [0, 8.0, 4], [0, 0, 1]]), 8, 8)


def test_random_probes_estimate_the_gauss_newton_diagonal(fast_rasterizer):
    scene = random_scene(3)
    ahead = scene.means - 0.5 + torch.tensor([0, 0, 2.0])
    scene = dataclasses.replace(scene, means=ahead, log_scales=torch.full((3, 3), -1.5))

    def picture(means):
        return fast_rasterizer.render(dataclasses.replace(scene, means=means), SMALL, mode=ANTIALIASED).rgb.flatten()

    jacobian = torch.autograd.functional.jacobian(picture, scene.means)
    assert isinstance(jacobian, torch.Tensor)
    exact = jacobian.square().sum((0, 2))

    class AtOwnSize(Camera):
        def with_long_side(self, pixels):
            return self

    camera = AtOwnSize(SMALL.viewmat, SMALL.K, SMALL.width, SMALL.height)
    found = sensitivity(scene, [camera], fast_rasterizer, probes=300)
    torch.testing.assert_close(found, exact, rtol=0.3, atol=1e-4)


def test_what_is_behind_a_wall_does_not_count(fast_rasterizer):
    def sheet(z: float, sigma: float, opacity: float) -> Gaussians:
        scene = random_scene(1)
        means = torch.tensor([[0.0, 0, z]])
        return dataclasses.replace(
            scene,
            means=means,
            log_scales=torch.full((1, 3), sigma).log(),
            logit_opacities=torch.tensor([opacity]).logit(),
        )

    wall = [sheet(1.0 + 0.01 * i, 5.0, 0.999) for i in range(3)]
    scene = Gaussians.concat([*wall, sheet(3.0, 0.05, 0.9), sheet(0.5, 0.05, 0.9)])
    found = sensitivity(scene, [camera_at(0.0, distance=3.0)], fast_rasterizer)
    assert float(found[3]) < 1e-3 * float(found[4])
    assert most_sensitive(found[3:], 0.5).tolist() == [False, True]


def test_only_those_asked_about_are_chosen_and_as_many():
    values = torch.rand(1000)
    among = torch.rand(1000) > 0.5
    chosen = most_sensitive(values, 0.25, among)
    assert int(chosen.sum()) == -(-int(among.sum()) // 4)
    assert not bool((chosen & ~among).any())
    assert float(values[chosen].min()) >= float(values[among & ~chosen].max())
