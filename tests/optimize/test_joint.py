import dataclasses

import pytest
import torch

from gaussian_lens_app.jobs.report import silent
from gaussian_lens_app.optimize.joint import (
    JointProblem,
    JointSettings,
    JointView,
    Stretch,
    averaged,
    baked,
    joint_loss,
    optimize_jointly,
    part_of,
)
from gaussian_lens_app.optimize.losses import l1_dssim
from gaussian_lens_app.optimize.mip_filter import filter_sizes, smoothed
from gaussian_lens_app.raster import for_device
from tests.scenes import board


@pytest.fixture(scope="module")
def rasterizer():
    return for_device("cpu")


@pytest.fixture(scope="module")
def scene(rasterizer):
    return board(rasterizer, photos=3, width=96)


@pytest.fixture(scope="module")
def views(scene):
    pictures = [(photo.camera, photo.crop(photo.camera.rect)) for photo in scene.capture.photos]
    return [JointView(camera, camera.rect, large, averaged(large, 4)) for camera, large in pictures]


def fitted(scene, views, rasterizer, frozen=0, settings=JointSettings(), steps=12, **more):  # noqa: B008  frozen
    still, start = scene.take(torch.arange(frozen)), scene.take(torch.arange(frozen, len(scene)))
    problem = JointProblem(still, views, settings, rasterizer, None, 1.0)
    return optimize_jointly(problem, start, steps, silent, **more)


def test_the_loss_is_that_of_the_large_and_of_the_small_picture(views):
    view, rendered = views[0], torch.rand(72, 96, 3)
    large, small = l1_dssim(rendered, view.large, 0.2), l1_dssim(averaged(rendered, 4), view.small, 0.2)
    assert float(joint_loss(rendered, view, JointSettings(small_weight=0.5))) == pytest.approx(
        float(large + 0.5 * small)
    )
    assert float(joint_loss(rendered, view, JointSettings(small_weight=0.0))) == pytest.approx(float(large))


def test_fitting_brings_the_scene_nearer_to_both_pictures(scene, views, rasterizer):
    def loss(gaussians):
        with torch.no_grad():
            renders = [rasterizer.render(gaussians, view.camera).rgb for view in views]
        return sum(float(joint_loss(rgb, view, JointSettings())) for rgb, view in zip(renders, views, strict=True))

    done, origins = fitted(scene.scene, views, rasterizer, steps=60)
    assert loss(done) < 0.95 * loss(scene.scene)
    assert torch.equal(origins, torch.arange(len(scene.scene)))


def test_the_same_seed_gives_the_same_bits(scene, views, rasterizer):
    first, again = (fitted(scene.scene, views, rasterizer, seed=3)[0] for _ in range(2))
    assert torch.equal(first.means, again.means)


def test_a_window_is_fitted_while_the_rest_stands_still(scene, views, rasterizer):
    rect = (16, 16, 64, 56)
    view = dataclasses.replace(
        views[0],
        rect=rect,
        large=views[0].large[16:56, 16:64],
        small=views[0].small[4:14, 4:16],
        weight=torch.ones(40, 48),
    )
    count = len(scene.scene)
    done, _ = fitted(scene.scene, [view], rasterizer, frozen=count - 40)
    assert len(done) == 40
    assert not torch.equal(done.sh0, scene.scene.sh0[count - 40 :])


def test_later_stretches_move_less(scene, views, rasterizer):
    moved = [
        float(
            (
                fitted(scene.scene, views, rasterizer, stretch=Stretch(i / 4, i / 4 + 0.25))[0].means
                - scene.scene.means
            ).norm()
        )
        for i in (0, 3)
    ]
    assert moved[1] < moved[0] / 5


def test_too_little_time_means_fewer_steps(scene, views, rasterizer):
    told = []
    problem = JointProblem(scene.scene.take(torch.arange(0)), views, JointSettings(), rasterizer, None, 1.0)
    optimize_jointly(problem, scene.scene, 100_000, lambda stage, fraction: told.append(fraction), seconds=0.3)
    assert len(told) < 2000
    assert told[-1] == pytest.approx(1.0)


def test_a_part_shows_the_same_pixels_as_the_whole(views):
    part = part_of(views[0], 24, torch.Generator().manual_seed(0))
    x0, y0, x1, y1 = part.rect
    assert (x1 - x0, y1 - y0) == (24, 24)
    assert torch.equal(part.large, views[0].large[y0:y1, x0:x1])
    assert torch.allclose(part.small, averaged(part.large, 4))
    assert part_of(views[0], 96, torch.Generator()) is views[0]


class Watch:
    """A strategy that only looks: the sum of what it was told of the pull at each Gaussian."""

    wants_probe = True
    pull = 0.0

    def observe(self, probe, camera):
        self.pull = self.pull + probe[:, 2:]

    def penalty(self, scene):
        return None

    def update(self, step, steps, adam, rates):
        pass


def pulled(scene, views, rasterizer):
    """The pull of all these views at the same scene."""
    watch, settings = Watch(), JointSettings(small_weight=0.0, ssim_weight=0.0)
    for view in views:
        problem = JointProblem(scene.take(torch.arange(0)), [view], settings, rasterizer, watch, 1.0)
        optimize_jointly(problem, scene, 1, silent)
    return watch.pull


def test_the_windows_of_a_picture_pull_together_as_much_as_the_picture(scene, views, rasterizer):
    view, rects = views[0], [(0, 0, 32, 72), (32, 0, 96, 24), (32, 24, 96, 72)]
    parts = [
        dataclasses.replace(view, rect=(x0, y0, x1, y1), large=view.large[y0:y1, x0:x1]) for x0, y0, x1, y1 in rects
    ]
    whole = pulled(scene.scene, [view], rasterizer)
    assert float(whole.max()) > 0
    torch.testing.assert_close(pulled(scene.scene, parts, rasterizer), whole, rtol=1e-3, atol=1e-7)


def test_pixels_that_do_not_count_pull_at_nothing(scene, views, rasterizer):
    weight = torch.zeros(72, 96)
    weight[:, :32] = 1
    view, rect = views[0], (0, 0, 32, 72)
    masked = dataclasses.replace(view, weight=weight)
    part = dataclasses.replace(view, rect=rect, large=view.large[:, :32])
    pulls = [pulled(scene.scene, [one], rasterizer) for one in (masked, part)]
    torch.testing.assert_close(*pulls, rtol=1e-3, atol=1e-7)


def test_the_3d_filter_keeps_gaussians_as_wide_as_the_finest_pixel_that_sees_them(scene, views):
    cameras = [view.camera for view in views]
    sizes = filter_sizes(scene.scene, cameras)
    depth = min(float(camera.to_camera(scene.scene.means[:1])[0, 2]) for camera in cameras)
    assert float(sizes[0]) == pytest.approx(0.2**0.5 * depth / float(cameras[0].K[0, 0]), rel=1e-4)
    wide = smoothed(scene.scene, sizes)
    assert bool((wide.scales >= sizes - 1e-7).all())
    assert bool((wide.opacities <= scene.scene.opacities + 1e-6).all())


def test_the_filter_is_baked_only_where_it_was_used(scene, views):
    cameras = [view.camera for view in views]
    assert baked(scene.scene, cameras, JointSettings()) is scene.scene
    wide, seen = baked(scene.scene, cameras, JointSettings(filter_3d=True)), filter_sizes(scene.scene, cameras) > 0
    assert bool((wide.scales > scene.scene.scales)[seen[:, 0]].all())


def test_gaussians_that_no_camera_sees_have_no_filter(scene, views):
    behind = dataclasses.replace(scene.scene, means=scene.scene.means - torch.tensor([0.0, 0.0, 100.0]))
    assert float(filter_sizes(behind, [view.camera for view in views]).max()) == 0
