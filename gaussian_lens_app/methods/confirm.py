"""Keep of a fit only what photos kept out of it confirm, place by place."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.methods.targets import Target
from gaussian_lens_app.raster import Rasterizer, RenderMode
from gaussian_lens_app.raster.compare import squared_errors
from gaussian_lens_app.scene import Gaussians

RADIUS = 24
"""Error changes are averaged over so many pixels to each side: single pixels tell noise, not the fit."""

NEGLIGIBLE = 1e-6
"""Change of the mean squared error that is rounding."""
TOLERANCE = 0.1
"""Part of the error there was by which a place may get worse: one photo tells it no more exactly."""


def confirmed(
    frozen: Gaussians,
    before: Gaussians,
    after: Gaussians,
    stops: Sequence[Target],
    rasterizer: Rasterizer,
    mode: RenderMode,
) -> Bool[Tensor, "A"]:
    """Which Gaussians of `after` stand where the photos kept out got no worse.

    A region is seldom of one piece: where the scene's depth is wrong, a fit explains each photo and no view between
    them. `frozen` + `before` is the scene as it was, `frozen` + `after` as it would be. Gaussians no photo shows pass.
    """
    _, (harm, seen) = change_of_error(frozen, before, after, stops, rasterizer, mode)
    return harm <= NEGLIGIBLE * seen


def change_of_error(
    frozen: Gaussians,
    before: Gaussians,
    after: Gaussians,
    stops: Sequence[Target],
    rasterizer: Rasterizer,
    mode: RenderMode,
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """For `before` and for `after`: (how much worse the photos kept out got where each Gaussian shows, by its weight
    there; that weight). What leaves a hole is told by where it stood, what puts up a veil by where it stands."""
    old, new = Gaussians.concat([frozen, before]), Gaussians.concat([frozen, after])
    sums = [scene.means.new_zeros(len(scene) - len(frozen), 2) for scene in (old, new)]
    for stop in stops:
        error = _error(old, stop, rasterizer, mode)
        change = _smoothed(_error(new, stop, rasterizer, mode) - (1 + TOLERANCE) * error)
        weights = torch.stack([change * stop.mask, stop.mask.float()], -1)
        for index, scene in enumerate((old, new)):
            found = rasterizer.contributions(scene, stop.camera, weights, mode=mode, crop=stop.rect)
            sums[index] += found[len(frozen) :]
    first, second = (total.unbind(-1) for total in sums)
    return (first[0], first[1]), (second[0], second[1])


def _error(scene: Gaussians, stop: Target, rasterizer: Rasterizer, mode: RenderMode) -> Float[Tensor, "h w"]:
    return squared_errors(scene, stop.camera, stop.rect, stop.photo, rasterizer, mode)


def _smoothed(image: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """Two box filters, edges without the pixels beyond them."""
    planes = image[None, None]
    for _ in range(2):
        planes = F.avg_pool2d(planes, 2 * (RADIUS // 2) + 1, 1, RADIUS // 2, count_include_pad=False)
    return planes[0, 0]
