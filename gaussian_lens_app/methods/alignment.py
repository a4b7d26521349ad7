"""How far a photo is out of place: cameras are known to a pixel or so of a large photo, and splats to less."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.raster import Render
from gaussian_lens_app.scene import Camera

MOST = 4.0
"""Pixels: more is no matter of a camera that is nearly right."""
EXPECTED = 0.7
"""Cameras are wrong by so many pixels, typically: what is less certain than that moves less."""
OUTLIER = 0.15
"""Differences (0..1) beyond this say nothing of a shift."""
LEAST_SLOPE = 1e-3
"""Less change from pixel to pixel is none."""
ROUNDS = 8
CLOSE = 0.02
"""Pixels: a round that moves less is the last."""
BLOCK = 16
"""Small pixels a side: what a render lacks of a photo is alike within a block, and in each says something else."""
SHRINK = 2
"""Renders are blurred where this is of use: pictures of half the size tell as much in a quarter of the time."""
RING_WEIGHT = 0.3
"""What is beside the region tells of a photo's place too, but may lie at another depth."""


def placed(camera: Camera, photo: Float[Tensor, "h w 3"], render: Render, mask: Bool[Tensor, "h w"]) -> Camera:
    """The photo's camera, turned by the few pixels that a window of it is away from where a scene shows the same.

    A fit to several photos that are out of place blurs what they show by as much, and measured on one a sharp scene is
    no better than a blurred one. A turn by so little is a shift of the principal point.
    """
    weight = torch.where(mask, 1.0, RING_WEIGHT) * render.alpha
    shift = shift_between(photo, render.rgb, weight)
    return camera.shifted(shift) if bool(shift.any()) else camera


def shift_between(
    photo: Float[Tensor, "h w 3"], rendered: Float[Tensor, "h w 3"], weight: Float[Tensor, "h w"]
) -> Float[Tensor, "2"]:
    """(x, y) pixels that the photo shows things right of and below where the render shows them; 0 where that cannot be
    told, or is more than `MOST`.

    Lucas and Kanade's registration (1981), held back by as much as parts of the picture contradict each other.
    """
    theirs, ours, weight = (_small(picture) for picture in (photo.mean(-1), rendered.mean(-1), weight))
    shift, gain, offset = ours.new_zeros(2), (weight * theirs).sum() / (weight * ours).sum().clamp_min(1e-6), 0.0
    if min(ours.shape) < 3 or not bool(weight.sum() > 0):
        return shift
    for _ in range(ROUNDS):
        curvature, pulls = _pulls(theirs, _moved(ours, shift), gain, offset, weight)
        step = torch.linalg.solve(curvature, pulls.sum(0)).to(ours)
        shift, gain, offset = shift - step[:2], gain + step[2], offset + step[3]
        if not bool(shift.norm() <= MOST / SHRINK):  # NaN too
            return torch.zeros_like(shift)
        if bool(step[:2].norm() < CLOSE / SHRINK):
            break
    return SHRINK * _held_back(shift, curvature, pulls)


def _pulls(
    theirs: Float[Tensor, "h w"],
    ours: Float[Tensor, "h w"],
    gain: Tensor,
    offset: Tensor | float,
    weight: Float[Tensor, "h w"],
) -> tuple[Float[Tensor, "4 4"], Float[Tensor, "B 4"]]:
    """(the squared error's curvature over shift, gain and offset of exposure; how each block pulls at them)."""
    inner = (slice(1, -1), slice(1, -1))
    slope = torch.stack([ours[1:-1, 2:] - ours[1:-1, :-2], ours[2:, 1:-1] - ours[:-2, 1:-1]]) / 2
    changes = torch.cat([gain * slope, ours[inner][None], torch.ones_like(ours[inner])[None]])
    difference = (theirs - gain * ours - offset)[inner].clamp(-OUTLIER, OUTLIER)
    curvature = torch.einsum("hw,ihw,jhw->ij", weight[inner], changes, changes)
    pulls = F.avg_pool2d((weight[inner] * changes * difference)[None], BLOCK, ceil_mode=True, divisor_override=1)[0]
    curvature = curvature + LEAST_SLOPE**2 * weight.sum() * torch.eye(4).to(curvature)
    return curvature.double(), pulls.flatten(1).T.double()


def _held_back(
    shift: Float[Tensor, "2"], curvature: Float[Tensor, "4 4"], pulls: Float[Tensor, "B 4"]
) -> Float[Tensor, "2"]:
    """The most probable shift: what was found is as uncertain as blocks differ (the sandwich estimate)."""
    inverse = torch.linalg.inv(curvature)
    uncertain = (inverse @ (pulls.T @ pulls) @ inverse)[:2, :2]
    expected = (EXPECTED / SHRINK) ** 2 * torch.eye(2).to(uncertain)
    return (expected @ torch.linalg.solve(expected + uncertain, shift.double())).to(shift)


def _moved(picture: Float[Tensor, "h w"], shift: Float[Tensor, "2"]) -> Float[Tensor, "h w"]:
    """What it shows, so many pixels further right and down; linear between pixels."""
    size = shift.new_tensor([picture.shape[1], picture.shape[0]])
    turn = torch.cat([torch.eye(2).to(shift), (-2 * shift / size)[:, None]], 1)
    grid = F.affine_grid(turn[None], [1, 1, *picture.shape], align_corners=False)
    return F.grid_sample(picture[None, None], grid, padding_mode="border", align_corners=False)[0, 0]


def _small(picture: Float[Tensor, "h w"]) -> Float[Tensor, "h/2 w/2"]:
    return F.avg_pool2d(picture[None, None], SHRINK)[0, 0]
