"""Depth of a photo's pixels by sweeping a plane through space, after MVSplat and DepthSplat, in a small network.

Features of the other photos are warped onto planes of constant inverse depth before the photo; where they resemble its
own lies the surface. A U-Net over the costs of all planes mends what single pixels cannot tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from gaussian_lens_app.networks.image_network import as_large

STRIDE = 2
"""Photo pixels a side of a depth."""
REACH = 2
"""Planes to each side of the best one that share in the depth."""
WINDOW = 5
"""Pixels a side over which scores are averaged."""


@dataclass(frozen=True)
class PlaneSweepConfig:
    """Sizes."""

    planes: int = 48
    features: int = 16
    width: int = 48


@dataclass(frozen=True, eq=False)
class Pinholes:
    """V cameras of equal size."""

    viewmats: Float[Tensor, "V 4 4"]
    Ks: Float[Tensor, "V 3 3"]
    """In pixels of the depth maps."""


@dataclass(frozen=True, eq=False)
class Swept:
    """What is known of each pixel of the first photo."""

    logits: Float[Tensor, "K h w"]
    """Of the planes, nearest first."""
    depth: Float[Tensor, "h w"]
    confidence: Float[Tensor, "h w"]
    """Probability of the planes that share in the depth."""
    opacity: Float[Tensor, "h w"]
    sigma: Float[Tensor, "h w"]
    """Standard deviation of the pixel's Gaussian, in pixels of the depth map."""


class PlaneSweep(nn.Module):
    """Photos and cameras -> depth, opacity and size for every pixel of the first one."""

    def __init__(self, config: PlaneSweepConfig | None = None):
        super().__init__()
        config = config or PlaneSweepConfig()
        self.config, width, count = config, config.width, config.features
        self.first, self.second = nn.Conv2d(3, 32, 5, 2, 2), nn.Conv2d(32, 32, 3, 1, 1)
        self.third = nn.Conv2d(32, count, 3, 1, 1)
        self.sharpness = nn.Parameter(torch.tensor([10.0, 50.0]))
        self.enter = nn.Conv2d(config.planes + count + 3, width, 3, 1, 1)
        self.down, self.down2 = nn.Conv2d(width, 2 * width, 3, 2, 1), nn.Conv2d(2 * width, 2 * width, 3, 2, 1)
        self.deep = nn.Conv2d(2 * width, 2 * width, 3, 1, 1)
        self.up2, self.up = nn.Conv2d(4 * width, 2 * width, 3, 1, 1), nn.Conv2d(3 * width, width, 3, 1, 1)
        self.leave = nn.Conv2d(width, config.planes + 2, 3, 1, 1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def describe(self, photos: Float[Tensor, "V 3 H W"]) -> Float[Tensor, "V C h w"]:
        """Features of unit length at half the size."""
        x = F.hardswish(self.first(photos - 0.5))
        x = x + F.hardswish(self.second(x))
        return F.normalize(self.third(x), dim=1)

    def forward(
        self,
        small: Float[Tensor, "V 3 h w"],
        features: Float[Tensor, "V C h w"],
        cameras: Pinholes,
        inverse_range: tuple[float, float],
    ) -> Swept:
        """The first photo's pixels; `small` are the photos at the depth map's size, `inverse_range` the inverse depths
        of the farthest and of the nearest plane."""
        planes = self.planes(inverse_range, small)
        scores = self.scores(small, features, cameras, planes)
        logits, extra = self._mended(scores, small[0], features[0])
        depth, confidence = read_depth(logits, planes)
        opacity = confidence * torch.sigmoid(extra[0] + 2)
        return Swept(logits, depth, confidence, opacity, 0.6 * torch.exp(0.7 * torch.tanh(extra[1])))

    def planes(self, inverse_range: tuple[float, float], like: Tensor) -> Float[Tensor, "K"]:
        """Inverse depths, nearest first."""
        far, near = inverse_range
        return torch.linspace(near, far, self.config.planes, device=like.device)

    def scores(
        self, small: Tensor, features: Tensor, cameras: Pinholes, planes: Float[Tensor, "K"]
    ) -> Float[Tensor, "K h w"]:
        """How much the other photos resemble the first one at each plane."""
        total = count = small.new_zeros(len(planes), *small.shape[-2:])
        for other in range(1, len(small)):
            grid, inside = warp_grid(cameras, other, planes, small.shape[-2:])
            looked = torch.cat([features[other], small[other]])[None]
            warped = F.grid_sample(looked, grid, align_corners=False).view(-1, *total.shape)  # (C + 3, K, h, w)
            alike = (warped[: features.shape[1]] * features[0][:, None]).sum(0)
            differs = (warped[features.shape[1] :] - small[0][:, None]).abs().mean(0)
            score = self.sharpness[0] * alike - self.sharpness[1] * differs
            total, count = total + score * inside, count + inside
        mean = total / count.clamp_min(1) - 4.0 * (count == 0)
        # Neighbours lie at like depths: before anything is learned, a window decides and not a pixel.
        return 0.25 * mean + F.avg_pool2d(mean, WINDOW, 1, WINDOW // 2, count_include_pad=False)

    def _mended(self, scores: Tensor, photo: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        x = F.hardswish(self.enter(torch.cat([scores, features, photo - 0.5])[None]))
        half = F.hardswish(self.down(x))
        quarter = F.hardswish(self.down2(half))
        quarter = quarter + F.hardswish(self.deep(quarter))
        half = F.hardswish(self.up2(torch.cat([half, as_large(quarter, half)], 1)))
        x = F.hardswish(self.up(torch.cat([x, as_large(half, x)], 1)))
        out = self.leave(x)[0]
        return scores + out[: len(scores)], out[len(scores) :]


def read_depth(
    logits: Float[Tensor, "K h w"], planes: Float[Tensor, "K"]
) -> tuple[Float[Tensor, "h w"], Float[Tensor, "h w"]]:
    """(depth, probability of the planes it was read from: the best one and REACH to each side)."""
    chances = logits.softmax(0)
    best = chances.argmax(0)
    number = torch.arange(len(planes), device=logits.device)[:, None, None]
    near = chances * ((number - best).abs() <= REACH)
    confidence = near.sum(0)
    inverse = (near * planes[:, None, None]).sum(0) / confidence.clamp_min(1e-6)
    return 1 / inverse.clamp_min(1e-9), confidence


def warp_grid(
    cameras: Pinholes, other: int, planes: Float[Tensor, "K"], size: tuple[int, int] | torch.Size
) -> tuple[Float[Tensor, "1 K*h w 2"], Float[Tensor, "K h w"]]:
    """(where each pixel of the first photo falls in another at each plane, for grid_sample; 1 where inside)."""
    height, width = size
    like = planes
    y, x = torch.meshgrid(
        torch.arange(height, device=like.device) + 0.5, torch.arange(width, device=like.device) + 0.5, indexing="ij"
    )
    pixels = torch.stack([x, y, torch.ones_like(x)], -1)
    relative = cameras.viewmats[other] @ torch.linalg.inv(cameras.viewmats[0])
    rays = pixels @ (cameras.Ks[other] @ relative[:3, :3] @ torch.linalg.inv(cameras.Ks[0])).T
    points = rays + planes[:, None, None, None] * (cameras.Ks[other] @ relative[:3, 3])
    places = points[..., :2] / points[..., 2:].clamp_min(1e-6)
    inside = (points[..., 2] > 1e-6) & (places >= 0).all(-1) & (places[..., 0] < width) & (places[..., 1] < height)
    grid = (places / places.new_tensor([width, height]) * 2 - 1).clamp(-3, 3)
    return grid.reshape(1, -1, width, 2), inside.to(places.dtype)
