"""The fast rasterizers against the reference: every output, every gradient."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from blobs import blobs, camera, outcome, relative_error

from gaussian_lens_app.raster import ANTIALIASED, CLASSIC, Rasterizer, RenderMode

SAME = 1e-4
"""Relative L2 error where no pixel crosses a cut-off."""
SAME_BUT_FOR_FLIPS = 5e-4


@pytest.mark.parametrize("sh_degree", range(5))
@pytest.mark.parametrize("mode", [ANTIALIASED, CLASSIC], ids=["antialiased", "classic"])
def test_images_and_gradients_agree(fast: Rasterizer, reference: Rasterizer, sh_degree: int, mode: RenderMode):
    scene, view = blobs(300, sh_degree), camera()
    found, truth = (outcome(rasterizer, scene, view, mode=mode) for rasterizer in (fast, reference))
    for name in ("rgb", "alpha", "depth", "features"):
        assert relative_error(getattr(found.render, name), getattr(truth.render, name)) < SAME, name
    for name, gradient in truth.gradients.items():
        assert relative_error(found.gradients[name], gradient) < SAME, name
    wrong = (found.render.median_depth.cpu().double() - truth.render.median_depth).abs() > 1e-3
    assert wrong.double().mean() < 1e-3


def test_crowded_scenes_agree_despite_the_cutoffs(fast: Rasterizer, reference: Rasterizer):
    """Many layers: many pixels finish early, some on the other side of a cut-off."""
    scene = blobs(1500, 1, seed=3)
    scene = dataclasses.replace(scene, log_scales=scene.log_scales + 1, logit_opacities=scene.logit_opacities + 1)
    found, truth = (outcome(rasterizer, scene, camera()) for rasterizer in (fast, reference))
    assert (truth.render.alpha > 0.999).double().mean() > 0.3
    for name in ("rgb", "alpha", "depth", "features"):
        assert relative_error(getattr(found.render, name), getattr(truth.render, name)) < SAME_BUT_FOR_FLIPS, name
    for name, gradient in truth.gradients.items():
        assert relative_error(found.gradients[name], gradient) < SAME_BUT_FOR_FLIPS, name


def test_needles_and_clamped_alphas_agree(fast: Rasterizer, reference: Rasterizer):
    """Extremely thin Gaussians, nearly opaque ones, and ones far outside the frustum's margin."""
    scene = blobs(200, 2, seed=5)
    scales, logits, means = scene.log_scales.clone(), scene.logit_opacities.clone(), scene.means.clone()
    scales[:60] += torch.tensor([2.0, -4.0, -4.0])
    logits[60:90] = 12.0
    means[90:130] *= 4.0
    scene = dataclasses.replace(scene, log_scales=scales, logit_opacities=logits, means=means)
    found, truth = (outcome(rasterizer, scene, camera()) for rasterizer in (fast, reference))
    assert relative_error(found.render.rgb, truth.render.rgb) < SAME_BUT_FOR_FLIPS
    for name, gradient in truth.gradients.items():
        assert relative_error(found.gradients[name], gradient) < SAME_BUT_FOR_FLIPS, name


def test_lower_degrees_ignore_the_higher_bands(fast: Rasterizer):
    scene = blobs(100, 3)
    capped = outcome(fast, scene, camera(), sh_degree=1)
    low = outcome(fast, scene.with_sh_degree(1), camera())
    assert relative_error(capped.render.rgb, low.render.rgb) == 0
    assert capped.gradients["shN"][:, 3:].abs().max() == 0


@pytest.mark.parametrize("amounts", [1, 3])
def test_contributions_agree(fast: Rasterizer, reference: Rasterizer, amounts: int):
    scene, view, crop = blobs(300), camera(), (17, 9, 60, 40)
    weights = torch.rand(31, 43, amounts, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    weights[:20, :20] = 0
    truth = reference.contributions(scene, view, weights, crop=crop)
    device = fast.device
    found = fast.contributions(scene.map(torch.Tensor.float).to(device), view, weights.float().to(device), crop=crop)
    assert relative_error(found, truth) < SAME


def test_contributions_of_the_whole_image_sum_to_alpha(fast: Rasterizer):
    device = fast.device
    scene, view = blobs(300, dtype=torch.float32).to(device), camera()
    total = fast.contributions(scene, view, torch.ones(53, 70, 1, device=device)).sum()
    torch.testing.assert_close(total, fast.render(scene, view).alpha.sum(), rtol=1e-5, atol=0)


def test_contributions_are_the_same_in_inference_mode(fast: Rasterizer):
    scene, view = blobs(300, dtype=torch.float32).to(fast.device), camera()
    weights = torch.rand(53, 70, 2, generator=torch.Generator().manual_seed(2)).to(fast.device)
    truth = fast.contributions(scene, view, weights)
    with torch.inference_mode():
        found = fast.contributions(scene.map(torch.Tensor.clone), view.to(fast.device), weights.clone())
    assert relative_error(found, truth) < 1e-6


def test_only_trainable_gaussians_get_gradients(fast: Rasterizer, reference: Rasterizer):
    scene, view = blobs(300, 1), camera()
    trainable = torch.arange(300) % 7 == 3
    found = outcome(fast, scene, view, trainable=trainable)
    truth = outcome(reference, scene, view, trainable=trainable)
    for name, gradient in truth.gradients.items():
        assert relative_error(found.gradients[name], gradient) < SAME, name
        if name != "background":
            assert found.gradients[name][~trainable].abs().max() == 0, name
            assert found.gradients[name][trainable].abs().max() > 0, name
