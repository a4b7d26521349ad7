"""One training step: passes over a sample, each compared with photos that neither scene nor network has seen."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from gaussian_lens_app.methods.gaussian_lens_features import Look
from gaussian_lens_app.methods.gaussian_lens_pass import Prepared, look_again, prepare, run_network
from gaussian_lens_app.methods.targets import Target
from gaussian_lens_app.networks.gaussian_lens import GaussianLens
from gaussian_lens_app.raster import Rasterizer, RenderMode
from gaussian_lens_app.scene import Gaussians
from gaussian_lens_app.training.samples import Sample

T = TypeVar("T")

RING_WEIGHT = 0.1
"""Pixels around the region count so much: what is changed there shows too."""
FLOOR = 2e-5
"""Mean squared error that counts as perfect (47 dB)."""
MOST_WINDOWS, MOST_TARGETS = 5, 2
"""Photos looked at and measured on in one step; others come in another step on the same sample."""


@dataclass(frozen=True, eq=False)
class Ready:
    """A sample with all that does not depend on the network's weights."""

    prepared: Prepared
    looks: tuple[Look, ...]
    """The scene with its pixel layer, in each window."""
    targets: tuple[Target, ...]
    before: tuple[float, ...]
    """Weighted squared error of the input in each target."""
    pixels: tuple[float, ...]
    """The same with the pixel layer."""


@dataclass(frozen=True)
class Errors:
    """Mean squared errors of a sample on its targets."""

    before: float
    pixels: float
    """With the faint pixel layer, before any pass."""
    after: tuple[float, ...]
    """After each pass."""
    kept: float | None = None
    """Share of the Gaussians that the last pass let exist; None where the network does not predict it."""


def make_ready(sample: Sample, rasterizer: Rasterizer, pixels: bool = True) -> Ready:
    """Renders and gradients before the first pass; without `pixels`, there are no pixel Gaussians."""
    sample = sample.to(rasterizer.device)
    inputs = sample.inputs
    if not pixels:
        inputs = dataclasses.replace(inputs, new=Gaussians.empty(0, inputs.old.device))
    prepared = prepare(inputs, sample.stride, rasterizer)
    looks = tuple(look_again(prepared, inputs.union, rasterizer))
    with torch.no_grad():
        before, layered = (
            tuple(
                float(target_error(inputs.frozen, state, target, rasterizer, inputs.mode)) for target in sample.targets
            )
            for state in (inputs.old, inputs.union)
        )
    return Ready(prepared, looks, sample.targets, before, layered)


def lighter(ready: Ready, chance: random.Random) -> Ready:
    """Some of the photos: those that gave pixel Gaussians and a few more, two to measure on."""
    count = len(ready.looks)
    more = chance.sample(range(2, count), min(count - 2, chance.randint(0, MOST_WINDOWS - 2))) if count > 2 else []
    rows = [0, 1, *sorted(more)][:count]
    chosen = chance.sample(range(len(ready.targets)), min(len(ready.targets), MOST_TARGETS))
    prepared = ready.prepared
    inputs = dataclasses.replace(prepared.inputs, windows=_pick(prepared.inputs.windows, rows))
    first, backgrounds = _pick(prepared.first, rows), _pick(prepared.backgrounds, rows)
    return Ready(
        prepared=dataclasses.replace(prepared, inputs=inputs, first=first, backgrounds=backgrounds),
        looks=_pick(ready.looks, rows),
        targets=_pick(ready.targets, chosen),
        before=_pick(ready.before, chosen),
        pixels=_pick(ready.pixels, chosen),
    )


def run_sample(
    network: GaussianLens,
    ready: Ready,
    passes: int,
    rasterizer: Rasterizer,
    scale: float | None = None,
    mask_weight: float = 0.0,
) -> Errors:
    """Errors after each pass; with a `scale`, gradients of the loss times it are added to the weights.

    The loss of a pass is log(error / error of the input), plus `mask_weight` times the squared share of Gaussians that
    exist where the network predicts it (MaskGaussian, Liu et al. 2024). Passes see each other's results, not their
    gradients.
    """
    inputs, looks, after = ready.prepared.inputs, list(ready.looks), []
    weight = sum(target_weight(target) for target in ready.targets)
    before, state, exists = sum(ready.before) / weight, inputs.union, None
    for number in range(passes):
        if number:
            looks = look_again(ready.prepared, state, rasterizer)
        with torch.set_grad_enabled(scale is not None):
            temperature = 1.0 if scale is not None else 0.0
            moved, exists = run_network(network, ready.prepared, state, looks, number, temperature)
            errors = [target_error(inputs.frozen, moved, target, rasterizer, inputs.mode) for target in ready.targets]
            error = torch.stack(errors).sum() / weight
            if scale is not None:
                loss = torch.log((error + FLOOR) / (before + FLOOR)) * scale
                if exists is not None:
                    loss = loss + mask_weight * exists.mean().square() * scale
                if bool(loss.isfinite()):
                    loss.backward()
        after.append(float(error.detach()))
        state = moved.detach()
    kept = None if exists is None else float((exists > 0.5).float().mean())
    return Errors(before, sum(ready.pixels) / weight, tuple(after), kept)


def sample_error(sample: Sample, moving: Gaussians, rasterizer: Rasterizer) -> float:
    """Mean squared error of some Gaussians in the place of the sample's own, on its targets."""
    inputs, targets = sample.inputs, sample.targets
    with torch.no_grad():
        errors = [float(target_error(inputs.frozen, moving, target, rasterizer, inputs.mode)) for target in targets]
    return sum(errors) / sum(target_weight(target) for target in targets)


def target_error(
    frozen: Gaussians, moving: Gaussians, target: Target, rasterizer: Rasterizer, mode: RenderMode
) -> Tensor:
    """Weighted sum of squared errors in a window, differentiable in `moving`."""
    scene = Gaussians.concat([frozen, moving])
    trainable = torch.arange(len(scene), device=frozen.device) >= len(frozen)
    render = rasterizer.render(scene, target.camera, mode=mode, crop=target.rect, trainable=trainable)
    weight = torch.where(target.mask, 1.0, RING_WEIGHT)
    return (weight[..., None] * (render.rgb - target.photo).square()).sum()


def target_weight(target: Target) -> float:
    return 3 * float(torch.where(target.mask, 1.0, RING_WEIGHT).sum())


def _pick(values: Sequence[T], rows: Sequence[int]) -> tuple[T, ...]:
    return tuple(values[row] for row in rows)
