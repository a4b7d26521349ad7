"""Making pictures small as photos are, and making large ones agree with the small ones they came from."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.priors.base import Picture

Filter = Literal["area", "bicubic"]
"""How the small picture came about: mean of the pixels covered (cameras, this program) or antialiased bicubic."""


def planes(picture: Picture) -> Float[Tensor, "1 3 H W"]:
    return picture.permute(2, 0, 1)[None]


def picture_of(values: Float[Tensor, "1 3 H W"]) -> Picture:
    return values[0].permute(1, 2, 0).contiguous()


def reduced(picture: Picture, scale: int, how: Filter = "area") -> Picture:
    """The picture with sides `scale` times shorter; differentiable."""
    if how == "area":
        height, width = picture.shape[0] // scale, picture.shape[1] // scale
        return picture.view(height, scale, width, scale, 3).mean((1, 3))
    size = (picture.shape[0] // scale, picture.shape[1] // scale)
    values = F.interpolate(planes(picture), size, mode="bicubic", antialias=True, align_corners=False)
    return picture_of(values)


def enlarged(small: Picture, scale: int) -> Picture:
    """Bicubic enlargement."""
    size = (small.shape[0] * scale, small.shape[1] * scale)
    return picture_of(F.interpolate(planes(small), size, mode="bicubic", align_corners=False))


def agreeing(picture: Picture, small: Picture, how: Filter = "area", times: int = 4) -> Picture:
    """The picture with what it misses of the small one added, enlarged: iterative back-projection (Irani & Peleg 1991).

    What a prior invents may only be what the small picture cannot show.
    """
    scale = picture.shape[0] // small.shape[0]
    for _ in range(times):
        picture = (picture + enlarged(small - reduced(picture, scale, how), scale)).clamp(0, 1)
    return picture
