"""Geometry of single Gaussians: rotations, samples, limits on shape."""

from __future__ import annotations

import dataclasses
import math

import torch
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.scene import Gaussians
from gaussian_lens_app.scene.gaussians import rotations


def offsets(scene: Gaussians, normal: Float[Tensor, "N 3"]) -> Float[Tensor, "N 3"]:
    """Standard normal numbers -> offsets from the centres distributed as each Gaussian."""
    return (rotations(scene.quats) @ (scene.log_scales.exp() * normal)[..., None])[..., 0]


def limited(scene: Gaussians, longest: float, ratio: float) -> Gaussians:
    """The scene with no axis over `longest` world units, nor over `ratio` times the middle axis (needles)."""
    middle = scene.log_scales.median(-1, keepdim=True).values
    most = (middle + math.log(ratio)).clamp_max(math.log(longest))
    return dataclasses.replace(scene, log_scales=torch.minimum(scene.log_scales, most))
