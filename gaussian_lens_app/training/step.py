"""One training step: passes over a sample, each compared with photos that neither scene nor network has seen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gaussian_lens_app.methods.gaussian_lens_pass import look_again, prepare, run_network
from gaussian_lens_app.methods.targets import Target
from gaussian_lens_app.networks.gaussian_lens import GaussianLens
from gaussian_lens_app.raster import Rasterizer, RenderMode
from gaussian_lens_app.scene import Gaussians
from gaussian_lens_app.training.samples import Sample

RING_WEIGHT = 0.1
"""Pixels around the region count so much: what is changed there shows too."""
FLOOR = 2e-5
"""Mean squared error that counts as perfect (47 dB)."""


@dataclass(frozen=True)
class Errors:
    """Mean squared errors of a sample on its targets."""

    before: float
    pixels: float
    """With the faint pixel layer, before any pass."""
    after: tuple[float, ...]
    """After each pass."""


def target_error(
    frozen: Gaussians, moving: Gaussians, targets: tuple[Target, ...], rasterizer: Rasterizer, mode: RenderMode
) -> Tensor:
    """Weighted mean squared error over the windows, differentiable in `moving`."""
    scene = Gaussians.concat([frozen, moving])
    trainable = torch.arange(len(scene), device=frozen.device) >= len(frozen)
    total, weights = frozen.means.new_zeros(()), frozen.means.new_zeros(())
    for target in targets:
        render = rasterizer.render(scene, target.camera, mode=mode, crop=target.rect, trainable=trainable)
        weight = torch.where(target.mask, 1.0, RING_WEIGHT)
        total = total + (weight[..., None] * (render.rgb - target.photo).square()).sum()
        weights = weights + 3 * weight.sum()
    return total / weights


def run_sample(
    network: GaussianLens, sample: Sample, passes: int, rasterizer: Rasterizer, scale: float | None = None
) -> Errors:
    """Errors after each pass; with a `scale`, gradients of the loss times it are added to the weights.

    The loss of a pass is log(error / error of the input); passes see each other's results, not their gradients.
    """
    inputs = sample.inputs
    with torch.no_grad():
        before, pixels = (
            float(target_error(inputs.frozen, state, sample.targets, rasterizer, inputs.mode))
            for state in (inputs.old, inputs.union)
        )
    prepared, state, after = prepare(inputs, sample.stride, rasterizer), inputs.union, []
    for number in range(passes):
        looks = look_again(prepared, state, rasterizer)
        with torch.set_grad_enabled(scale is not None):
            moved = run_network(network, prepared, state, looks, number)
            error = target_error(inputs.frozen, moved, sample.targets, rasterizer, inputs.mode)
            if scale is not None:
                loss = torch.log((error + FLOOR) / (before + FLOOR)) * scale / passes
                if bool(loss.isfinite()):
                    loss.backward()
        after.append(float(error.detach()))
        state = moved.detach()
    return Errors(before, pixels, tuple(after))
