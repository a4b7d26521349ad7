"""What must hold for any scene and camera."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from blobs import blobs, camera, outcome, relative_error

from gaussian_lens_app.errors import DeviceError
from gaussian_lens_app.raster import ANTIALIASED, CLASSIC, Rasterizer, RenderMode
from gaussian_lens_app.scene import Camera, Gaussians
from gaussian_lens_app.scene.gaussians import rotations


def on_device(fast: Rasterizer, scene: Gaussians) -> Gaussians:
    return scene.map(torch.Tensor.float).to(fast.device)


def moved(scene: Gaussians, view: Camera) -> tuple[Gaussians, Camera]:
    """Scene and camera carried together through the same rotation and translation."""
    turn = torch.tensor([0.3, -0.5, 0.7, 0.4], dtype=torch.float64)
    turn = turn / turn.norm()
    R, t = rotations(turn[None])[0], torch.tensor([0.7, -1.1, 0.4], dtype=torch.float64)
    w, v = scene.quats[:, :1], scene.quats[:, 1:]
    a, b = turn[0], turn[1:]
    quats = torch.cat([a * w - v @ b[:, None], a * v + w * b + torch.linalg.cross(b.expand_as(v), v)], -1)
    carried = torch.eye(4, dtype=torch.float64)
    carried[:3, :3], carried[:3, 3] = R.T, -R.T @ t
    scene = dataclasses.replace(scene, means=scene.means @ R.T + t, quats=quats)
    return scene, dataclasses.replace(view, viewmat=view.viewmat @ carried)


def test_moving_scene_and_camera_together_changes_nothing(fast: Rasterizer):
    scene, view = blobs(300), camera()
    before = fast.render(on_device(fast, scene), view)
    after = fast.render(*(lambda s, v: (on_device(fast, s), v))(*moved(scene, view)))
    for name in ("rgb", "alpha", "depth"):
        assert relative_error(getattr(after, name), getattr(before, name).cpu()) < 5e-4


@pytest.mark.parametrize("crop", [(0, 0, 70, 53), (17, 9, 60, 40), (65, 50, 70, 53), (3, 0, 4, 1)])
def test_a_crop_is_that_window_of_the_full_image(fast: Rasterizer, crop: tuple[int, int, int, int]):
    """With Gaussians beyond the frustum's margin, where the clamp must be that of the full camera."""
    scene, view = blobs(400), camera()
    scene = on_device(fast, dataclasses.replace(scene, means=scene.means * torch.tensor([2.0, 2.0, 1.0])))
    full, window = fast.render(scene, view), fast.render(scene, view, crop=crop)
    x0, y0, x1, y1 = crop
    for name in ("rgb", "alpha", "depth", "median_depth"):
        difference = (getattr(full, name)[y0:y1, x0:x1] - getattr(window, name)).abs().max()
        assert difference < 2e-4, name


def test_gradients_of_a_crop_are_those_of_its_window(fast: Rasterizer):
    scene, view, (x0, y0, x1, y1) = blobs(300), camera(), (17, 9, 60, 40)
    grads = []
    for crop in (None, (x0, y0, x1, y1)):
        leaves = on_device(fast, scene).map(lambda tensor: tensor.requires_grad_())
        rgb = fast.render(leaves, view, crop=crop).rgb
        (rgb if crop else rgb[y0:y1, x0:x1]).square().sum().backward()
        grads.append(leaves.means.grad)
    assert relative_error(grads[1], grads[0].cpu()) < 1e-4


def test_the_order_of_the_rows_does_not_matter(fast: Rasterizer):
    scene, view = on_device(fast, blobs(300)), camera()
    shuffled = scene.take(torch.randperm(300, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(fast.render(shuffled, view).rgb, fast.render(scene, view).rgb, atol=1e-6, rtol=0)


def test_no_gaussians_show_the_background(fast: Rasterizer):
    scene = on_device(fast, Gaussians.empty(2))
    background = torch.tensor([0.1, 0.5, 0.9], device=scene.device)
    render = fast.render(scene, camera(), background=background)
    assert (render.rgb == background).all()
    assert render.alpha.abs().max() == render.depth.abs().max() == render.median_depth.abs().max() == 0
    assert fast.contributions(scene, camera(), torch.ones(53, 70, 2, device=scene.device)).shape == (0, 2)


def test_gaussians_behind_or_beside_the_camera_are_not_drawn_and_get_no_gradient(fast: Rasterizer):
    scene, view = blobs(300), camera()
    means = scene.means.clone()
    means[:50, 2] -= 20
    means[50:80, 0] += 60
    scene = dataclasses.replace(scene, means=means)
    everything = outcome(fast, scene, view)
    visible = outcome(fast, scene.take(torch.arange(80, 300)), view)
    assert torch.equal(everything.render.alpha, visible.render.alpha)
    assert torch.equal(everything.render.median_depth, visible.render.median_depth)
    for name, gradient in everything.gradients.items():
        if name != "background":
            assert gradient[:80].abs().sum() == 0, name
            assert torch.isfinite(gradient).all(), name


def test_values_that_are_not_numbers_are_not_drawn(fast: Rasterizer):
    clean = blobs(60)
    scene = clean.map(torch.Tensor.clone)
    scene.means[0], scene.log_scales[1], scene.quats[2], scene.logit_opacities[3] = (float("nan"),) * 4
    scene.means[4], scene.log_scales[5] = float("inf"), float("inf")
    rest = torch.arange(6, 60)
    drawn, expected = (
        fast.render(on_device(fast, part), camera(), sh_degree=0).rgb for part in (scene, clean.take(rest))
    )
    assert torch.isfinite(drawn).all()
    torch.testing.assert_close(drawn, expected, atol=1e-6, rtol=0)


def test_the_filter_scales_with_resolution(fast: Rasterizer):
    """At half the size with a quarter of the filter, a smooth picture is the large one averaged."""
    scene = blobs(60, seed=2)
    scene = on_device(fast, dataclasses.replace(scene, log_scales=scene.log_scales.clamp_min(-2)))
    view = camera(64, 48)
    large = fast.render(scene, view.resized(256, 192), mode=CLASSIC.scaled(4)).rgb
    small = fast.render(scene, view, mode=CLASSIC).rgb
    averaged = torch.nn.functional.avg_pool2d(large.permute(2, 0, 1)[None], 4)[0].permute(1, 2, 0)
    assert relative_error(small, averaged.cpu()) < 0.02
    assert RenderMode(eps2d=0.3).scaled(2).eps2d == pytest.approx(1.2)


def test_an_image_larger_than_the_memory_gives_a_sentence(fast: Rasterizer):
    view = dataclasses.replace(camera(), width=3_000_000, height=3_000_000)
    with pytest.raises(DeviceError, match="memory"):
        fast.render(on_device(fast, blobs(5)), view)


def test_a_render_without_gradients_keeps_nothing_for_the_way_back(fast: Rasterizer):
    scene = on_device(fast, blobs(50, 1))
    assert fast.render(scene, camera()).rgb.grad_fn is None
    leaves = scene.map(lambda tensor: tensor.requires_grad_())
    with torch.no_grad():
        assert not fast.render(leaves, camera()).rgb.requires_grad


def test_a_tensor_changed_between_render_and_backward_is_noticed(cpu: Rasterizer):
    leaves = blobs(50, dtype=torch.float32).map(lambda tensor: tensor.requires_grad_())
    loss = cpu.render(leaves, camera()).rgb.sum()
    with torch.no_grad():
        leaves.means.add_(1.0)
    with pytest.raises(RuntimeError, match="inplace"):
        loss.backward()


def test_the_filter_follows_the_photos_size_and_the_plain_one_stays_plain():
    assert ANTIALIASED.scaled(4).resized(0.5) == ANTIALIASED.scaled(2)
    assert ANTIALIASED.resized(0.5) == ANTIALIASED
    assert CLASSIC.resized(0.25) == CLASSIC
    assert ANTIALIASED.resized(2.0) == ANTIALIASED
