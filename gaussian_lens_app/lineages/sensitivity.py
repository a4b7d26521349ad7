"""Which Gaussians the picture depends on most: the Gauss-Newton diagonal of the render with respect to the centres."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.jobs.report import Report, silent
from gaussian_lens_app.raster import ANTIALIASED, Rasterizer, RenderMode
from gaussian_lens_app.scene import Camera, Gaussians
from gaussian_lens_app.scene.synthetic import LONG_SIDE

PROBES = 2


def sensitivity(
    scene: Gaussians,
    cameras: Sequence[Camera],
    rasterizer: Rasterizer,
    mode: RenderMode = ANTIALIASED,
    probes: int = PROBES,
    seed: int = 0,
    report: Report = silent,
) -> Float[Tensor, "N"]:
    """How much the pictures change, squared, when each Gaussian moves; a picture each camera, world units.

    The diagonal of J^T J by Rademacher probes v: E[(J^T v)^2]; it needs no photo, only derivatives of renders.
    """
    generator = torch.Generator().manual_seed(seed)
    means = scene.means.detach().clone().requires_grad_()
    moving = dataclasses.replace(scene.detach(), means=means)
    total = torch.zeros_like(means)
    for index, camera in enumerate(cameras):
        report("Finding what the picture depends on", index / len(cameras))
        small = camera.with_long_side(LONG_SIDE).to(scene.device)
        for _ in range(probes):
            rgb = rasterizer.render(moving, small, mode=mode).rgb
            signs = torch.randint(0, 2, rgb.shape, generator=generator).to(rgb) * 2 - 1
            (gradient,) = torch.autograd.grad((rgb * signs).sum(), means)
            total += gradient.square()
    return total.sum(-1) / max(1, probes * len(cameras))


def most_sensitive(
    values: Float[Tensor, "N"], share: float, among: Bool[Tensor, "N"] | None = None
) -> Bool[Tensor, "N"]:
    """The share of `among` (all, unless given) with the largest values, those of zero left out."""
    among = torch.ones_like(values, dtype=torch.bool) if among is None else among
    count = math.ceil(share * int(among.sum()))
    ranked = torch.where(among, values, -1.0)
    chosen = torch.zeros_like(among)
    chosen[ranked.topk(count).indices] = True
    return chosen & (ranked > 0)
