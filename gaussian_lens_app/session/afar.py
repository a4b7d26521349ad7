"""Splats seen from so far away that they are smaller than a pixel.

The antialiased mode widens each splat by the pixel's filter and lowers its opacity in turn. For one splat that is so;
for many small ones behind each other it is not, because each then covers neighbours that it never hid. Drawn with
several pixels for each one of the picture, as photos gather light, they keep what they show (docs/afar.md).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.raster.base import NEAR
from gaussian_lens_app.scene import Camera, Gaussians, Rect

FINER = 2
"""Pixels drawn for one of the picture along each axis: most of the gain, at about twice the time."""
SMALL = 0.5
"""A splat whose middle sigma is below this, pixels, is small; those of an upgrade are not, from where its photos were
taken."""
COVERED = 0.005
"""Small splats that cover so much of the picture are worth the time."""
LOOKED_AT = 50_000
"""So many splats tell for all."""
LARGEST = 16_000_000
"""Pixels drawn at most, which bounds memory."""


def sample(scene: Gaussians) -> tuple[Gaussians, float]:
    """(evenly many of the scene's splats, how many of the scene each stands for)."""
    step = max(1, len(scene) // LOOKED_AT)
    few = scene.map(lambda tensor: tensor[::step])
    return few, len(scene) / max(1, len(few))


def is_afar(few: Gaussians, each: float, camera: Camera) -> bool:
    """Whether splats smaller than a pixel make up part of the picture; `few` and `each` are what `sample` gave."""
    if camera.width * camera.height * FINER**2 > LARGEST:
        return False
    seen, depths = camera.frames(few.means, NEAR)
    sigmas = few.scales.sort(-1, descending=True).values[:, :2] * (camera.K[0, 0] / depths.clamp_min(NEAR))[:, None]
    small = seen & (sigmas[:, 1] < SMALL)
    areas = 2 * math.pi * (few.opacities * sigmas.prod(-1))[small]
    return each * float(areas.sum()) > COVERED * camera.width * camera.height


def finer(camera: Camera, crop: Rect | None) -> tuple[Camera, Rect | None]:
    """The same view with smaller pixels."""
    scaled = None if crop is None else (FINER * crop[0], FINER * crop[1], FINER * crop[2], FINER * crop[3])
    return camera.resized(FINER * camera.width, FINER * camera.height), scaled


def gathered(picture: Float[Tensor, "H W 3"]) -> Float[Tensor, "h w 3"]:
    """The picture back at its size: the mean over the pixels of each."""
    return F.avg_pool2d(torch.movedim(picture.clamp(0, 1), -1, 0)[None], FINER)[0].movedim(0, -1)
