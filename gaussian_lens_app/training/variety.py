"""The same sample seen otherwise: mirrored, with cameras rolled, in other colours; photos and scene alike, exactly."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gaussian_lens_app.methods.sr3r_views import shrunk
from gaussian_lens_app.methods.targets import Target
from gaussian_lens_app.scene import SH_C0, Camera, Gaussians, Rect
from gaussian_lens_app.training.samples import Sample

UPRIGHT = 0.5
"""Photos are mostly held upright: so many samples keep their roll."""
GLIMPSING = 0.6
"""Part of the samples in which some photos are small."""
DARKEST = 0.6
"""Channels are scaled by this to 1, so that no photo leaves 0..1."""


def unchanged(sample: Sample, chance: random.Random) -> Sample:
    """As it was made."""
    return sample


def varied(sample: Sample, chance: random.Random) -> Sample:
    """One of the sample's many equivalents, at random; its windows' renders are to be drawn anew."""
    if chance.random() < 0.5:
        sample = mirrored(sample)
    if chance.random() > UPRIGHT:
        for _ in range(chance.randint(1, 3)):
            sample = rolled(sample)
    order = chance.sample(range(3), 3)
    return recoloured(sample, order, [chance.uniform(DARKEST, 1) for _ in order])


def glimpsing(sample: Sample, chance: random.Random) -> Sample:
    """Mostly with some of its photos as small as the scene has seen them, as photos kept from a method are; never the
    two that pixel Gaussians come from."""
    if chance.random() > GLIMPSING:
        return sample
    windows = list(sample.inputs.windows)
    for i in range(2, len(windows)):
        small = shrunk(windows[i], chance.randint(2, 4)) if chance.random() < 0.5 else None
        windows[i] = small or windows[i]
    return dataclasses.replace(sample, inputs=dataclasses.replace(sample.inputs, windows=tuple(windows)))


def mirrored(sample: Sample) -> Sample:
    """The world mirrored at z = 0, pictures from left to right."""
    return _changed(sample, _mirrored_gaussians, _mirrored_window)


def rolled(sample: Sample) -> Sample:
    """Cameras turned by a quarter about their axis, pictures counterclockwise; the scene as it is."""
    return _changed(sample, lambda gaussians: gaussians, _rolled_window)


def recoloured(sample: Sample, order: Sequence[int], gains: Sequence[float]) -> Sample:
    """Channels in another order, each scaled. Colour is 0.5 + SH_C0 sh0 + ..., so scaling moves sh0's zero too."""
    scale = torch.tensor(gains)

    def gaussians(one: Gaussians) -> Gaussians:
        sh0 = one.sh0[..., order] * scale + (scale - 1) * 0.5 / SH_C0
        return dataclasses.replace(one, sh0=sh0, shN=one.shN[..., order] * scale)

    def window(one: Target) -> Target:
        return dataclasses.replace(one, photo=one.photo[..., order] * scale)

    return _changed(sample, gaussians, window)


def _changed(sample: Sample, gaussians: Callable[[Gaussians], Gaussians], window: Callable[[Target], Target]) -> Sample:
    inputs = sample.inputs
    inputs = dataclasses.replace(
        inputs,
        frozen=gaussians(inputs.frozen),
        old=gaussians(inputs.old),
        new=gaussians(inputs.new),
        windows=tuple(map(window, inputs.windows)),
    )
    return dataclasses.replace(sample, inputs=inputs, targets=tuple(map(window, sample.targets)))


def _mirrored_gaussians(one: Gaussians) -> Gaussians:
    """A turn by an angle about an axis becomes the opposite turn about the mirrored axis; the harmonic of degree l and
    order m changes its sign where l + m is odd."""
    return dataclasses.replace(
        one,
        means=one.means * one.means.new_tensor([1, 1, -1]),
        quats=one.quats * one.quats.new_tensor([1, -1, -1, 1]),
        shN=one.shN * _parity(one.shN.shape[1]).to(one.shN)[:, None],
    )


def _parity(count: int) -> Tensor:
    """Signs of the harmonics after the constant one, degree by degree, orders -l to l."""
    degrees = [math.isqrt(index + 1) for index in range(count)]
    return torch.tensor([(-1.0) ** (index + 1 - degree * degree) for index, degree in enumerate(degrees)])


def _mirrored_window(one: Target) -> Target:
    camera, (x0, y0, x1, y1) = one.camera, one.rect
    flip = torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0])).to(camera.viewmat)
    mirror = torch.diag(torch.tensor([1.0, 1.0, -1.0, 1.0])).to(camera.viewmat)
    K = camera.K.clone()
    K[0, 2] = camera.width - K[0, 2]
    turned = dataclasses.replace(camera, viewmat=flip @ camera.viewmat @ mirror, K=K)
    return _window(one, turned, (camera.width - x1, y0, camera.width - x0, y1), lambda picture: picture.flip(1))


def _rolled_window(one: Target) -> Target:
    """A pixel at (x, y) goes to (y, width - x)."""
    camera, (x0, y0, x1, y1) = one.camera, one.rect
    roll = camera.viewmat.new_tensor([[0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    K = camera.K.clone()
    K[0, 0], K[1, 1] = camera.K[1, 1], camera.K[0, 0]
    K[0, 2], K[1, 2] = camera.K[1, 2], camera.width - camera.K[0, 2]
    turned = Camera(roll @ camera.viewmat, K, camera.height, camera.width)
    rect = (y0, camera.width - x1, y1, camera.width - x0)
    return _window(one, turned, rect, lambda picture: torch.rot90(picture, 1, (0, 1)))


def _window(one: Target, camera: Camera, rect: Rect, turned: Callable[[Tensor], Tensor]) -> Target:
    return dataclasses.replace(
        one, camera=camera, rect=rect, photo=turned(one.photo).contiguous(), mask=turned(one.mask).contiguous()
    )
