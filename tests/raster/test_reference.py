"""The judge judged: its gradients against finite differences, its pictures against formulas."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from blobs import blobs, camera

from gaussian_lens_app.raster import ANTIALIASED, CLASSIC, RenderMode
from gaussian_lens_app.raster.reference import NO_CUTOFFS, ReferenceRasterizer
from gaussian_lens_app.raster.sh import sh_basis
from gaussian_lens_app.scene import SH_C0, Camera, Gaussians


def smooth_scene(count: int, sh_degree: int = 0) -> Gaussians:
    """Large and round enough that every pixel sees something, pale enough that no colour is clamped at 0."""
    scene = blobs(count, sh_degree)
    return dataclasses.replace(scene, log_scales=scene.log_scales * 0.5, shN=scene.shN * 0.3)


def small_camera() -> Camera:
    K = torch.tensor([[7.0, 0, 3.3], [0, 6, 2.2], [0, 0, 1]], dtype=torch.float64)
    return dataclasses.replace(camera(6, 5, distance=4.0), K=K)


@pytest.mark.parametrize("mode", [ANTIALIASED, CLASSIC], ids=["antialiased", "classic"])
def test_gradients_are_those_of_finite_differences(mode: RenderMode):
    scene = smooth_scene(3, sh_degree=1)
    leaves = [tensor.requires_grad_() for _, tensor in scene.tensors()]
    leaves += [torch.rand(3, 2, dtype=torch.float64, requires_grad=True)]
    leaves += [torch.rand(3, dtype=torch.float64, requires_grad=True)]

    def draw(*tensors):
        rasterizer = ReferenceRasterizer(NO_CUTOFFS)
        result = rasterizer.render(
            Gaussians(*tensors[:6]), small_camera(), mode=mode, features=tensors[6], background=tensors[7]
        )
        return result.rgb, result.alpha, result.depth, result.features

    assert torch.autograd.gradcheck(draw, leaves)


def test_the_probe_receives_the_derivative_to_the_2d_means():
    scene, view = smooth_scene(5), small_camera()
    weights = torch.rand(5, 6, 3, dtype=torch.float64)

    def loss(shifts):
        probe = torch.cat([shifts, torch.zeros(5, 2, dtype=shifts.dtype)], -1)
        return (ReferenceRasterizer(NO_CUTOFFS).render(scene, view, probe=probe).rgb * weights).sum()

    assert torch.autograd.gradcheck(loss, torch.zeros(5, 2, dtype=torch.float64, requires_grad=True))


def test_the_probe_sums_absolutes_over_pixels():
    scene, view = smooth_scene(5), small_camera()
    probe = torch.zeros(5, 4, dtype=torch.float64, requires_grad=True)
    render = ReferenceRasterizer(NO_CUTOFFS).render(scene, view, probe=probe)
    expected = torch.zeros(5, 2, dtype=torch.float64)
    for pixel in render.rgb.sum(-1).flatten():
        expected += torch.autograd.grad(pixel, probe, retain_graph=True)[0][:, :2].abs()
    (found,) = torch.autograd.grad(render.rgb.sum(), probe)
    torch.testing.assert_close(found[:, 2:], expected)


def test_one_round_gaussian_is_its_formula():
    sigma, opacity, z = 0.2, 0.8, 2.0
    scene = Gaussians(
        means=torch.tensor([[0.0, 0.0, z]]),
        quats=torch.tensor([[1.0, 0, 0, 0]]),
        log_scales=torch.full((1, 3), math.log(sigma)),
        logit_opacities=torch.logit(torch.tensor([opacity])),
        sh0=torch.tensor([[[0.3, 0.0, -0.3]]]) / SH_C0,
        shN=torch.zeros(1, 0, 3),
    ).map(torch.Tensor.double)
    K = torch.tensor([[20.0, 0, 8], [0, 20, 8], [0, 0, 1]], dtype=torch.float64)
    render = ReferenceRasterizer().render(scene, Camera(torch.eye(4), K, 16, 16), mode=CLASSIC)
    variance = (20 * sigma / z) ** 2 + 0.3
    alpha = opacity * math.exp(-0.5 * (2.5**2 + 0.5**2) / variance)  # pixel (8, 10): centre at (10.5, 8.5)
    assert render.alpha[8, 10] == pytest.approx(alpha)
    assert render.rgb[8, 10].tolist() == pytest.approx([0.8 * alpha, 0.5 * alpha, 0.2 * alpha])
    assert render.depth[8, 10] == pytest.approx(z)
    assert render.median_depth[8, 8] == pytest.approx(z)
    assert render.median_depth[8, 12] == 0


def test_harmonics_are_orthonormal():
    points = torch.randn(200_000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    basis = sh_basis(4, torch.nn.functional.normalize(points, dim=-1))
    gram = 4 * math.pi * basis.T @ basis / len(points)
    torch.testing.assert_close(gram, torch.eye(25, dtype=torch.float64), atol=0.03, rtol=0)
