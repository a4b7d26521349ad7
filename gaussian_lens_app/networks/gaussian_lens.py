"""The network of GaussianLens: Gaussians, their gradients and photos in; residuals for every Gaussian out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from gaussian_lens_app.networks.cross_attention import ProjectionAttention
from gaussian_lens_app.networks.gradient_features import PER_VIEW, POOLED, compressed, pooled
from gaussian_lens_app.networks.heads import Head, HeadConfig
from gaussian_lens_app.networks.image_network import ImageNetwork
from gaussian_lens_app.networks.point_transformer import PointTransformer, TransformerConfig, perceptron
from gaussian_lens_app.networks.residuals import Residuals
from gaussian_lens_app.networks.views import Views, project, sample

IMAGE_CHANNELS = 20
RESIDUALS = slice(6, 9)
"""Channels of a window's images that hold photo minus render, times RESIDUAL_GAIN."""
RESIDUAL_GAIN = 4.0
"""Residuals are small beside colours."""
PARAMETERS = 13
MAX_PASSES = 4

Attention = Literal["multi-scale", "last", "global", "none"]


@dataclass(frozen=True)
class LensConfig:
    """Sizes and parts of the network; the parts can be left out to measure what each is worth."""

    transformer: TransformerConfig = field(default_factory=TransformerConfig)
    image_width: int = 24
    image_stride: int = 2
    """Photo pixels a side of the finest feature map's pixel."""
    attention: Attention = "multi-scale"
    """Cross-attention at every decoder stage, at the last alone, to the photos' means, or not at all."""
    gradients: bool = True
    residual_images: bool = True
    """Show the image network renders and residuals beside the photos."""
    selected: bool = True
    """Change the selected Gaussians."""
    pixels: bool = True
    """Add pixel Gaussians."""
    head: HeadConfig = field(default_factory=HeadConfig)


CPU = LensConfig()
GPU = LensConfig(
    transformer=TransformerConfig(
        widths=(96, 160, 256), depths=(2, 2, 4), decoder_depths=(2, 2), patches=(256, 256, 512), heads=8, mlp_ratio=4
    ),
    image_width=64,
    image_stride=1,
)
PRESETS = {"cpu": CPU, "gpu": GPU}


@dataclass(frozen=True, eq=False)
class Points:
    """N Gaussians as the network sees them, free of units."""

    positions: Float[Tensor, "N 3"]
    """World."""
    spacing: Float[Tensor, ""]
    """World length between pixel Gaussians."""
    axes: Float[Tensor, "N 3 3"]
    order: Int[Tensor, "N 3"]
    scales: Float[Tensor, "N 3"]
    """World, longest first."""
    parameters: Float[Tensor, "N 13"]
    is_pixel: Bool[Tensor, "N"]
    gradients: Float[Tensor, "N V 14"]
    """Of the scene as it stands."""
    weights: Float[Tensor, "N V"]
    first_gradients: Float[Tensor, "N V 14"]
    """Of the input scene alone; zeros for pixel Gaussians."""
    first_weights: Float[Tensor, "N V"]

    def take(self, rows: Int[Tensor, "M"]) -> Points:
        """Some of the points."""
        values = {name: value if name == "spacing" else value[rows] for name, value in vars(self).items()}
        return Points(**values)


@dataclass(frozen=True, eq=False)
class Encoded:
    """What the trunk knows of N Gaussians before anything is decided about them."""

    features: Float[Tensor, "N C"]
    steps: Float[Tensor, "N 13"]
    """The gradients' proposal, pooled over photos."""
    reader: Reader


class GaussianLens(nn.Module):
    """One pass; several in a row, each with fresh renders, sharpen further."""

    def __init__(self, config: LensConfig = CPU):
        super().__init__()
        self.config = config
        widths, heads, ratio = config.transformer.widths, config.transformer.heads, config.transformer.mlp_ratio
        image = config.image_width
        self.images = ImageNetwork(IMAGE_CHANNELS, image, config.image_stride)
        self.source = nn.Embedding(2, 16)
        self.pass_number = nn.Embedding(MAX_PASSES, 16)
        self.stem = perceptron(PARAMETERS + 2 * POOLED + 2 * image + 32, 2 * widths[0], widths[0])
        self.transformer = PointTransformer(config.transformer)
        extra = PER_VIEW + 1
        self.attend = nn.ModuleList(
            ProjectionAttention(width, image + (extra if level == 0 else 0), heads, ratio)
            for level, width in enumerate(widths[:-1])
        )
        self.attend_new = ProjectionAttention(widths[0], image, heads, ratio)
        self.heads = nn.ModuleList(Head(widths[0], config.head) for _ in range(2))

    def forward(
        self,
        points: Points,
        views: Views,
        number: int,
        temperature: float = 0.0,
        pyramid: Sequence[Tensor] | None = None,
    ) -> Residuals:
        """Residuals of all points for pass `number`, counted from 0; `pyramid` is `images(views)` where at hand."""
        return self.decode(self.encode(points, views, number, pyramid), points, temperature)

    def encode(self, points: Points, views: Views, number: int, pyramid: Sequence[Tensor] | None = None) -> Encoded:
        """Features of all points that know their surroundings and the photos."""
        maps = self.images(views) if pyramid is None else pyramid
        reader = Reader(maps, views, self.config.attention == "global")
        small = compressed(points.gradients)
        features, steps = self._features(points, small, reader, number)
        tokens_extra = torch.cat([small, torch.log1p(points.weights)[..., None]], -1)
        if not self.config.gradients:
            tokens_extra = torch.zeros_like(tokens_extra)

        def attend(level: int, x: Tensor, positions: Tensor) -> Tensor:
            if self.config.attention == "none" or (self.config.attention == "last" and level > 0):
                return x
            tokens, seen = reader.read(positions, level)
            if level == 0:
                tokens = torch.cat([tokens, tokens_extra], -1)
            return self.attend[level](x, tokens, seen)

        return Encoded(self.transformer(features, points.positions, points.spacing, attend), steps, reader)

    def _features(
        self, points: Points, small: Tensor, reader: Reader, number: int
    ) -> tuple[Tensor, Float[Tensor, "N 13"]]:
        now, steps = pooled(points.gradients, small, points.weights)
        first = self._first(points)
        if not self.config.gradients:
            now, first, steps = torch.zeros_like(now), torch.zeros_like(first), torch.zeros_like(steps)
        tokens, seen = reader.read(points.positions, 0)
        count = seen.sum(1, keepdim=True).clamp_min(1)
        mean = (tokens * seen[..., None]).sum(1) / count
        spread = ((tokens - mean[:, None]).square() * seen[..., None]).sum(1) / count
        if self.config.attention == "none":
            mean, spread = torch.zeros_like(mean), torch.zeros_like(spread)
        source = self.source(points.is_pixel.long())
        step = self.pass_number.weight[min(number, MAX_PASSES - 1)].expand(len(source), -1)
        return self.stem(
            torch.cat([points.parameters, now, first, mean, (spread + 1e-6).sqrt(), source, step], -1)
        ), steps

    def _first(self, points: Points) -> Float[Tensor, "N 42"]:
        """Pooled gradients of the input scene alone; pixel Gaussians have none."""
        rows = (~points.is_pixel).nonzero()[:, 0]
        gradients, weights = points.first_gradients[rows], points.first_weights[rows]
        features, _ = pooled(gradients, compressed(gradients), weights)
        return features.new_zeros(len(points.is_pixel), POOLED).index_copy(0, rows, features)

    def decode(self, encoded: Encoded, points: Points, temperature: float = 0.0) -> Residuals:
        """What changes about each point: first where it goes, then all else."""
        x, steps, reader = encoded.features, encoded.steps, encoded.reader
        groups = [(~points.is_pixel).nonzero()[:, 0], points.is_pixel.nonzero()[:, 0]]
        back = torch.cat(groups).argsort()
        moves = [head.places(x[rows], steps[rows]) for head, rows in zip(self.heads, groups, strict=True)]  # pyright: ignore
        moved = torch.cat(moves)[back]
        if self.config.attention != "none":
            shift = moved.mean(1) * points.scales
            tokens, seen = reader.read(points.positions + (points.axes @ shift[..., None])[..., 0], 0)
            x = self.attend_new(x, tokens, seen)
        parts = [
            head.others(x[rows], moves[i], steps[rows], temperature)  # pyright: ignore[reportCallIssue]
            for i, (head, rows) in enumerate(zip(self.heads, groups, strict=True))
        ]
        residuals = _merged(parts, back)
        return residuals if self.config.selected else residuals.only(points.is_pixel)


class Reader:
    """Reads the pyramid at projections of points."""

    def __init__(self, pyramid: Sequence[Tensor], views: Views, everywhere: bool):
        self.pyramid, self.views, self.everywhere = pyramid, views, everywhere
        self.padded = views.images.shape[-2], views.images.shape[-1]
        # The finest maps are read at the same places twice.
        self.last_positions: Tensor | None = None
        self.last: tuple[Tensor, Tensor] = (pyramid[0], pyramid[0])

    def read(self, positions: Float[Tensor, "N 3"], level: int) -> tuple[Float[Tensor, "N V C"], Bool[Tensor, "N V"]]:
        """(features of the photos at the points, which photos see them); `everywhere` gives each photo's mean."""
        if level == 0 and positions is self.last_positions:
            return self.last
        maps = self.pyramid[level]
        pixels, seen = project(positions, self.views)
        if self.everywhere:
            tokens = maps.mean((2, 3)).expand(len(positions), -1, -1)
            return tokens, torch.ones_like(seen)
        result = sample(maps, pixels, self.padded), seen
        if level == 0:
            self.last_positions, self.last = positions, result
        return result


def _merged(parts: list[Residuals], back: Int[Tensor, "N"]) -> Residuals:
    names = ("mean", "log_scale", "turn", "logit", "colour")
    joined = {name: torch.cat([getattr(part, name) for part in parts])[back] for name in names}
    keeps = [part.keep for part in parts if part.keep is not None]
    return Residuals(**joined, keep=torch.cat(keeps)[back] if keeps else None)
