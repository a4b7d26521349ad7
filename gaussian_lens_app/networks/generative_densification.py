"""The network of Generative Densification (Nam et al. 2024): features of coarse Gaussians become fine Gaussians.

The paper takes its features from the feed-forward program that made the Gaussians. Here the trunk of GaussianLens
stands for it: it reads parameters, gradients and photos, so any scene with photos will do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from gaussian_lens_app.networks.children import children
from gaussian_lens_app.networks.gaussian_lens import CPU as LENS_CPU
from gaussian_lens_app.networks.gaussian_lens import GPU as LENS_GPU
from gaussian_lens_app.networks.gaussian_lens import (
    RESIDUAL_GAIN,
    RESIDUALS,
    GaussianLens,
    LensConfig,
    Points,
    Reader,
)
from gaussian_lens_app.networks.gradient_features import COLOUR, PER_VIEW, compressed
from gaussian_lens_app.networks.residuals import applied, own_axes
from gaussian_lens_app.networks.upsampling import Layer, LayerConfig
from gaussian_lens_app.networks.views import Views, project, sample
from gaussian_lens_app.scene import Gaussians

GRID = 1.0
"""Half a cell of the first layer's grid, in standard deviations of the coarse Gaussian; each layer halves it."""
BLURS = (2, 4)
"""Residuals are read from pixels averaged over so many a side."""
SETTLE = 3
"""Pass number of the trunk when it looks at the fine Gaussians once more."""


@dataclass(frozen=True)
class DensificationConfig:
    """Sizes of the trunk and of each layer."""

    trunk: LensConfig = LENS_CPU
    widths: tuple[int, ...] = (64, 96)
    factors: tuple[int, ...] = (2, 4)
    """Children of each Gaussian in each layer (the paper's R)."""
    blocks: int = 2
    heads: int = 4
    mlp_ratio: int = 2
    patch: int = 64


CPU = DensificationConfig()
GPU = DensificationConfig(trunk=LENS_GPU, widths=(160, 256), heads=8, mlp_ratio=4, patch=256)
PRESETS = {"cpu": CPU, "gpu": GPU}


@dataclass(frozen=True, eq=False)
class Maps:
    """V photos as the network reads them, without their pixels."""

    pyramid: tuple[Tensor, ...]
    blurred: tuple[Float[Tensor, "V 3 h w"], ...]
    """Residuals averaged over BLURS."""
    squared: Float[Tensor, "V 1 h w"]
    views: Views
    """Its images have the right size and hold nothing."""

    def take(self, rows: Sequence[int]) -> Maps:
        """Some of the photos."""
        chosen = list(rows)
        views = Views(**{name: value[chosen] for name, value in vars(self.views).items()})
        pyramid, blurred = (tuple(planes[chosen] for planes in each) for each in (self.pyramid, self.blurred))
        return Maps(pyramid, blurred, self.squared[chosen], views)

    @staticmethod
    def concat(parts: Sequence[Maps]) -> Maps:
        views = Views(
            **{name: torch.cat([getattr(part.views, name) for part in parts]) for name in vars(parts[0].views)}
        )
        pyramid, blurred = (
            tuple(map(torch.cat, zip(*(getattr(part, name) for part in parts), strict=True)))
            for name in ("pyramid", "blurred")
        )
        return Maps(pyramid, blurred, torch.cat([part.squared for part in parts]), views)


@dataclass(frozen=True, eq=False)
class Densified:
    """What N coarse Gaussians became."""

    coarse: Gaussians
    """The N Gaussians after the trunk's own pass."""
    fine: Gaussians
    ancestors: Int[Tensor, "M"]
    """Row of the coarse Gaussian that each fine one comes from, ascending within a layer."""
    layers: Int[Tensor, "M"]
    """Layer after which each fine one stopped."""


class GenerativeDensification(nn.Module):
    """Coarse Gaussians -> fine ones."""

    def __init__(self, config: DensificationConfig = CPU):
        super().__init__()
        self.config = config
        self.trunk = GaussianLens(config.trunk)
        base = config.widths[0]
        self.enter = nn.Linear(config.trunk.transformer.widths[0], base)
        tokens = config.trunk.image_width + 3 * len(BLURS) + PER_VIEW + 1
        last = len(config.factors) - 1
        self.layers = nn.ModuleList(
            Layer(config.widths[max(0, n - 1)], base, tokens, self._layer(n), n == last)
            for n in range(len(config.factors))
        )

    def begin_with(self, lens: GaussianLens) -> None:
        """Take over a trained GaussianLens as the trunk; settling begins as its third pass."""
        self.trunk.load_state_dict(lens.state_dict())
        with torch.no_grad():
            numbers = self.trunk.pass_number.weight
            numbers[SETTLE] = numbers[SETTLE - 1]

    def _layer(self, n: int) -> LayerConfig:
        config = self.config
        return LayerConfig(
            config.widths[n], config.factors[n], config.blocks, config.heads, config.mlp_ratio, config.patch
        )

    def maps(self, views: Views) -> Maps:
        """The photos as the trunk's image network sees them, and their residuals at two blurs."""
        residuals = views.images[:, RESIDUALS] / RESIDUAL_GAIN
        blurred = tuple(F.avg_pool2d(residuals, blur) for blur in BLURS)
        squared = F.avg_pool2d(residuals.square().mean(1, keepdim=True), BLURS[-1])
        shape = (len(views.images), 0, *views.images.shape[2:])
        nothing = Views(views.images.new_zeros(shape), views.rays[:, :0], views.viewmats, views.Ks, views.sizes)
        return Maps(self.trunk.images(views), blurred, squared, nothing)

    def forward(self, state: Gaussians, points: Points, maps: Maps, share: float) -> Densified:
        """Fine Gaussians for those of `state`; `share` of a layer's children go on to the next (the paper's P)."""
        encoded = self.trunk.encode(points, maps.views, 0, maps.pyramid)
        coarse = applied(state, points.axes, points.order, self.trunk.decode(encoded, points))
        x = self.enter(encoded.features)
        everywhere, looking = x.mean(0), _Looking(points, maps, encoded.reader)
        parents, ancestors, done = coarse, torch.arange(len(state), device=x.device), []
        half, cell = GRID * points.scales, 2 * points.scales[:, 1].median()
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, Layer)
            factor = self.config.factors[number]
            axes, order = own_axes(parents.detach())
            places, features = layer.up(x, everywhere, parents.means.detach(), cell / 2**number)
            moves = places * (half[ancestors] / 2**number)[:, None]
            base, x = children(parents, axes, order, moves), features.flatten(0, 1)
            ancestors = ancestors.repeat_interleave(factor)
            tokens, seen, local = looking.at(base.means.detach(), ancestors)
            x = layer.attend(x, tokens, seen)
            chosen = torch.zeros(len(x), dtype=torch.bool, device=x.device)
            if layer.split is not None:
                x, chosen = layer.split(x, local[:, -1], share)
            axes, order = axes.repeat_interleave(factor, 0), order.repeat_interleave(factor, 0)
            grown = applied(base, axes, order, layer.head(x, local))
            done.append((grown.take(~chosen), ancestors[~chosen], torch.full_like(ancestors[~chosen], number)))
            parents, x, ancestors = grown.take(chosen), x[chosen], ancestors[chosen]
            if len(x) == 0:
                break
        fine, origins, layers = zip(*done, strict=True)
        return Densified(coarse, Gaussians.concat(fine), torch.cat(origins), torch.cat(layers))

    def settle(self, state: Gaussians, points: Points, maps: Maps) -> Gaussians:
        """Fine Gaussians, rendered and looked at afresh, after one more pass of the trunk."""
        residuals = self.trunk(points, maps.views, SETTLE, pyramid=maps.pyramid)
        return applied(state, points.axes, points.order, residuals)


class _Looking:
    """Reads photos and residuals from the places of children."""

    def __init__(self, points: Points, maps: Maps, reader: Reader):
        self.points, self.maps, self.reader = points, maps, reader
        self.extra = torch.cat([compressed(points.gradients), torch.log1p(points.weights)[..., None]], -1)

    def at(self, positions: Float[Tensor, "M 3"], ancestors: Int[Tensor, "M"]) -> tuple[Tensor, Tensor, Tensor]:
        """(tokens of each photo, which photos see a place, residuals there beyond the ancestor's own and squared)."""
        features, seen = self.reader.read(positions, 0)
        pixels, _ = project(positions, self.maps.views)
        blurred = [sample(planes, pixels, self.reader.padded) for planes in self.maps.blurred]
        squared = sample(self.maps.squared, pixels, self.reader.padded)
        weights = self.points.weights[ancestors] * seen
        weights = (weights / weights.sum(1, keepdim=True).clamp_min(1e-3))[..., None]
        own = self.points.gradients[ancestors][..., COLOUR]
        local = [(weights * (values - own)).sum(1) for values in blurred]
        tokens = torch.cat([features, *(10 * values for values in blurred), self.extra[ancestors]], -1)
        return tokens, seen, torch.cat([*local, (weights * squared).sum(1)], -1)
