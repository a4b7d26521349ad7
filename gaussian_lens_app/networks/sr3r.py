"""The mapping network of SR3R (arXiv 2602.24020): enlarged low-resolution photos and a scaffold of Gaussians in,
residuals for every Gaussian out.

Photos -> ViT encoder; refined against tokens of the scene's own renders; ViT decoder within and between photos;
read at each Gaussian's projections, fused over photos; point transformer; residual head.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from gaussian_lens_app.networks.cross_attention import ProjectionAttention
from gaussian_lens_app.networks.gradient_features import PER_VIEW, POOLED, compressed, pooled
from gaussian_lens_app.networks.heads import Head, HeadConfig
from gaussian_lens_app.networks.image_network import RAY_CHANNELS
from gaussian_lens_app.networks.point_transformer import PointTransformer, TransformerConfig, perceptron
from gaussian_lens_app.networks.residuals import Residuals
from gaussian_lens_app.networks.views import Views, project, sample
from gaussian_lens_app.networks.vision_transformer import (
    CrossBlock,
    Refinement,
    SelfBlock,
    patches_of,
    place_codes,
    unfolded,
)

PATCH = 4
"""Low-resolution pixels a side of a token's patch: 16 of the enlarged photo, as in the paper."""
FINE = 2
"""Pixels of the decoder's finest map per low-resolution pixel."""
GEOMETRY = 8
"""Channels of the scene's own renders: rgb, depth, opacity, and what the photo has beyond rgb."""
PARAMETERS = 14


@dataclass(frozen=True)
class SR3RConfig:
    """Sizes and parts; the parts can be left out to measure what each is worth."""

    width: int = 96
    heads: int = 4
    encoder: int = 3
    geometry: int = 1
    """Blocks of the encoder of the scene's own renders."""
    decoder: int = 2
    mlp_ratio: int = 3
    fine: int = 16
    """Channels of the decoder's finest map."""
    factor: int = 4
    """Photos come enlarged so many times."""
    transformer: TransformerConfig = field(
        default_factory=lambda: TransformerConfig(
            widths=(64, 64, 96), depths=(1, 1, 1), decoder_depths=(1, 1), patches=(64, 64, 64)
        )
    )
    points: bool = True
    """False: a perceptron for each Gaussian in the place of the point transformer."""
    refinement: bool = True
    gradients: bool = True
    """Feed gradients of the low-resolution loss (not in the paper)."""
    split: bool = True
    """The scaffold is the scene after the Gaussian Shuffle Split; False: the scene itself."""
    head: HeadConfig = field(default_factory=lambda: HeadConfig(gate=0.03))


CPU = SR3RConfig()
GPU = SR3RConfig(
    width=160, heads=8, encoder=6, decoder=3, geometry=2, mlp_ratio=4, fine=32,
    transformer=TransformerConfig(
        widths=(96, 128, 192), depths=(2, 2, 2), decoder_depths=(2, 2), patches=(256, 256, 256), heads=8, mlp_ratio=4
    ),
)  # fmt: skip
PRESETS = {"cpu": CPU, "gpu": GPU}


@dataclass(frozen=True, eq=False)
class ScaffoldPoints:
    """N Gaussians of the scaffold, free of units."""

    positions: Float[Tensor, "N 3"]
    """World."""
    spacing: Float[Tensor, ""]
    """World length of a low-resolution pixel."""
    axes: Float[Tensor, "N 3 3"]
    order: Int[Tensor, "N 3"]
    parameters: Float[Tensor, "N 14"]
    gradients: Float[Tensor, "N V 14"]
    """Of the low-resolution photos."""
    weights: Float[Tensor, "N V"]
    high_gradients: Float[Tensor, "N V 14"]
    """Of the enlarged photos."""
    high_weights: Float[Tensor, "N V"]


@dataclass(frozen=True, eq=False)
class LowPhotos:
    """V windows of low-resolution photos, padded to one size at their right and lower edges."""

    views: Views
    """`images` are the scene's own renders (GEOMETRY channels) and all coordinates are low-resolution pixels; `rays`
    are those of the patches."""
    enlarged: Float[Tensor, "V 3 F*H F*W"]
    real: Bool[Tensor, "V N"] | None
    """Patches that are not padding alone; None: all."""


class SR3R(nn.Module):
    """One forward pass."""

    def __init__(self, config: SR3RConfig = CPU):
        super().__init__()
        self.config = config
        width, heads, ratio = config.width, config.heads, config.mlp_ratio
        self.embed = nn.Linear(3 * (PATCH * config.factor) ** 2, width)
        self.embed_geometry = nn.Linear(GEOMETRY * PATCH**2 + RAY_CHANNELS, width)
        self.encoder = nn.ModuleList(SelfBlock(width, heads, ratio) for _ in range(config.encoder))
        self.geometry = nn.ModuleList(SelfBlock(width, heads, ratio) for _ in range(config.geometry))
        self.refine = Refinement(width, heads)
        self.decoder = nn.ModuleList(CrossBlock(width, heads, ratio) for _ in range(config.decoder))
        self.after, self.to_fine = nn.LayerNorm(width), nn.Linear(width, config.fine * (PATCH * FINE) ** 2)
        tokens = width + config.fine + GEOMETRY + 2 * (PER_VIEW + 1)
        inner, inner_heads = config.transformer.widths[0], config.transformer.heads
        self.stem = perceptron(PARAMETERS + 2 * POOLED + tokens, 2 * inner, inner)
        self.fuse = ProjectionAttention(inner, tokens, inner_heads, config.transformer.mlp_ratio)
        self.points = PointTransformer(config.transformer) if config.points else _Alone(inner)
        self.head = Head(inner, config.head)

    def forward(self, points: ScaffoldPoints, photos: LowPhotos) -> Residuals:
        """Residuals of all Gaussians of the scaffold."""
        tokens, seen = self.read(points, photos, *self.images(photos))
        x, steps = self._stem(points, tokens, seen)
        x = self.points(self.fuse(x, tokens, seen), points.positions, points.spacing)
        return self.head.others(x, self.head.places(x, steps), steps, 0.0)

    def images(self, photos: LowPhotos) -> tuple[Float[Tensor, "V C h w"], Float[Tensor, "V D H W"]]:
        """(decoded tokens of the photos' patches, maps at FINE times the photos' size)."""
        height, width = (side // PATCH for side in photos.views.images.shape[-2:])
        places = place_codes(height, width, self.config.width, photos.enlarged.device)
        x = self.embed(patches_of(photos.enlarged - 0.5, PATCH * self.config.factor)) + places
        for block in self.encoder:
            x = block(x, photos.real)
        if self.config.refinement:
            rays = photos.views.rays.flatten(2).transpose(1, 2)
            t = self.embed_geometry(torch.cat([patches_of(photos.views.images, PATCH), rays], -1)) + places
            for block in self.geometry:
                t = block(t, photos.real)
            x = self.refine(x, t, photos.real)
        for block in self.decoder:
            x = block(x, photos.real)
        x = self.after(x)
        coarse = x.transpose(1, 2).reshape(len(x), -1, height, width)
        return coarse, unfolded(self.to_fine(x), height, width, PATCH * FINE)

    def read(
        self, points: ScaffoldPoints, photos: LowPhotos, coarse: Tensor, fine: Tensor
    ) -> tuple[Float[Tensor, "N V T"], Bool[Tensor, "N V"]]:
        """(what each photo says about each Gaussian, which photos see it)."""
        padded = photos.views.images.shape[-2], photos.views.images.shape[-1]
        pixels, seen = project(points.positions, photos.views)
        maps = [sample(one, pixels, padded) for one in (coarse, fine, photos.views.images)]
        low, high = compressed(points.gradients), compressed(points.high_gradients)
        extra = [low, torch.log1p(points.weights)[..., None], high, torch.log1p(points.high_weights)[..., None]]
        if not self.config.gradients:
            extra = [torch.zeros_like(one) for one in extra]
        return torch.cat([*maps, *extra], -1), seen

    def _stem(self, points: ScaffoldPoints, tokens: Tensor, seen: Tensor) -> tuple[Tensor, Float[Tensor, "N 13"]]:
        low, _ = pooled(points.gradients, compressed(points.gradients), points.weights)
        high, steps = pooled(points.high_gradients, compressed(points.high_gradients), points.high_weights)
        if not self.config.gradients:
            low, high, steps = torch.zeros_like(low), torch.zeros_like(high), torch.zeros_like(steps)
        share = seen / seen.sum(1, keepdim=True).clamp_min(1)
        mean = (tokens * share[..., None]).sum(1)
        return self.stem(torch.cat([points.parameters, low, high, mean], -1)), steps


class _Alone(nn.Module):
    """Two layers for each point; takes the place of a point transformer."""

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.ModuleList(perceptron(width, 4 * width, width) for _ in range(3))

    def forward(self, x: Float[Tensor, "N C"], positions: Tensor, spacing: Tensor) -> Float[Tensor, "N C"]:
        for layer in self.layers:
            x = x + layer(x)
        return x
