"""Any prior on pictures larger than it takes: overlapping windows, each with its own x_t, blended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.priors.base import AnyPrior, Picture, Prior, Upscaler, is_diffusion
from gaussian_lens_app.scene import Rect


class Tiles:
    """Windows of a small picture, and of the large one."""

    def __init__(self, height: int, width: int, side: int, overlap: int):
        rows, columns = _starts(height, side, overlap), _starts(width, side, overlap)
        self.rects: list[Rect] = [(x, y, min(x + side, width), min(y + side, height)) for y in rows for x in columns]
        self.height, self.width, self.overlap = height, width, overlap

    def cut(self, picture: Picture) -> list[Picture]:
        """The windows of the small picture, or of the large one."""
        scale = picture.shape[0] // self.height
        return [picture[y0 * scale : y1 * scale, x0 * scale : x1 * scale] for x0, y0, x1, y1 in self.rects]

    def blend(self, parts: Sequence[Picture], scale: int) -> Picture:
        """One large picture; weights rise linearly from the windows' edges over the overlap."""
        total = parts[0].new_zeros(self.height * scale, self.width * scale, 3)
        weights = parts[0].new_zeros(self.height * scale, self.width * scale, 1)
        for (x0, y0, x1, y1), part in zip(self.rects, parts, strict=True):
            weight = _ramp(part.shape[0], self.overlap * scale)[:, None] * _ramp(part.shape[1], self.overlap * scale)
            window = (slice(y0 * scale, y1 * scale), slice(x0 * scale, x1 * scale))
            total[window] += part * weight[..., None].to(part)
            weights[window] += weight[..., None].to(part)
        return total / weights


class TiledPrior:
    """A diffusion prior whose latents are lists of its windows' latents."""

    def __init__(self, prior: Prior, side: int, overlap: int):
        """`side` and `overlap` in pixels of the small picture."""
        self.prior, self.side, self.overlap = prior, side, overlap
        self.name, self.scale, self.licence, self.timesteps = prior.name, prior.scale, prior.licence, prior.timesteps

    def encode(self, picture: Picture) -> list[Any]:
        height, width = picture.shape[0] // self.scale, picture.shape[1] // self.scale
        return [self.prior.encode(part) for part in self._tiles(height, width).cut(picture)]

    def decode(self, latent: list[Any], small: Picture) -> Picture:
        tiles = self._tiles(small.shape[0], small.shape[1])
        return tiles.blend(self._each(self.prior.decode, latent, tiles.cut(small)), self.scale)

    def init_latent(self, small: Picture, generator: torch.Generator) -> list[Any]:
        return [
            self.prior.init_latent(part, generator) for part in self._tiles(small.shape[0], small.shape[1]).cut(small)
        ]

    def predict_x0(self, x_t: list[Any], t: int, small: Picture) -> list[Any]:
        parts = self._tiles(small.shape[0], small.shape[1]).cut(small)
        return self._each(lambda x, part: self.prior.predict_x0(x, t, part), x_t, parts)

    def step(self, x_t: list[Any], x0: list[Any], t: int, generator: torch.Generator) -> list[Any]:
        return self._each(lambda x, end: self.prior.step(x, end, t, generator), x_t, x0)

    def _tiles(self, height: int, width: int) -> Tiles:
        return Tiles(height, width, self.side, self.overlap)

    def _each(self, act: Callable[[Any, Any], Any], first: list[Any], second: Sequence[Any]) -> list[Any]:
        return [act(*pair) for pair in zip(first, second, strict=True)]


def tiled(prior: AnyPrior, side: int, overlap: int) -> AnyPrior:
    """The prior for pictures of any size; diffusion priors keep one x_t a window."""
    if is_diffusion(prior):
        return TiledPrior(prior, side, overlap)
    return TiledUpscaler(cast(Upscaler, prior), side, overlap)


class TiledUpscaler:
    """An upscaler that sees windows."""

    def __init__(self, prior: Upscaler, side: int, overlap: int):
        self.prior, self.side, self.overlap = prior, side, overlap
        self.name, self.scale, self.licence = prior.name, prior.scale, prior.licence

    def upscale(self, small: Picture) -> Picture:
        tiles = Tiles(small.shape[0], small.shape[1], self.side, self.overlap)
        return tiles.blend([self.prior.upscale(part) for part in tiles.cut(small)], self.scale)


def _starts(length: int, side: int, overlap: int) -> list[int]:
    """Where windows begin: evenly over the length, neighbours overlapping by at least `overlap`."""
    if length <= side:
        return [0]
    count = -(-(length - overlap) // (side - overlap))
    return [round(i * (length - side) / (count - 1)) for i in range(count)]


def _ramp(length: int, overlap: int) -> Float[Tensor, "length"]:
    places = torch.arange(length) + 0.5
    return torch.minimum(places, length - places).clamp_max(max(1, overlap)) / max(1, overlap)
