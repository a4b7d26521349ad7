"""Cutting gradients row by row."""

from __future__ import annotations

import dataclasses

import torch
from jaxtyping import Bool
from torch import Tensor

from gaussian_lens_app.scene import Gaussians


def only_trainable(
    scene: Gaussians, features: Tensor | None, probe: Tensor | None, trainable: Bool[Tensor, "N"]
) -> tuple[Gaussians, Tensor | None, Tensor | None]:
    """The same values with the gradient of the other rows cut."""

    def cut(tensor: Tensor) -> Tensor:
        return torch.where(trainable.view(-1, *[1] * (tensor.dim() - 1)), tensor, tensor.detach())

    scene = dataclasses.replace(scene, **{name: cut(tensor) for name, tensor in scene.tensors()})
    return scene, None if features is None else cut(features), None if probe is None else cut(probe)
