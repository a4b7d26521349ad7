"""The judge: splatting written to be read, plain torch in any dtype, every pixel against every Gaussian.

EWA splatting (Zwicker et al. 2002) as 3DGS does it (Kerbl et al. 2023), with the constants of base.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gaussian_lens_app.raster import base
from gaussian_lens_app.raster.base import ANTIALIASED, Render, RenderMode
from gaussian_lens_app.raster.frozen import only_trainable
from gaussian_lens_app.raster.sh import sh_colors
from gaussian_lens_app.scene import Camera, Gaussians, Rect
from gaussian_lens_app.scene.gaussians import rotations

PAIRS_AT_ONCE = 2_000_000
"""(pixel, Gaussian) pairs held at a time; bounds memory, not results."""


@dataclass(frozen=True)
class Limits:
    """The constants that make splatting only piecewise smooth."""

    alpha_max: float = base.ALPHA_MAX
    alpha_min: float = base.ALPHA_MIN
    transmittance_min: float = base.TRANSMITTANCE_MIN
    near: float = base.NEAR


NO_CUTOFFS = Limits(alpha_max=1.0, alpha_min=0.0, transmittance_min=-1.0)
"""Smooth everywhere, for gradcheck."""


@dataclass(frozen=True, eq=False)
class Footprints:
    """The drawn Gaussians as 2D Gaussians in the image, nearest first."""

    index: Int[Tensor, "V"]
    """Rows of the scene."""
    means: Float[Tensor, "V 2"]
    """Centres in pixels of the full image."""
    conics: Float[Tensor, "V 3"]
    """Inverse covariances (xx, xy, yy), px^-2."""
    opacities: Float[Tensor, "V"]
    """Compensated for the 2D filter where the mode asks for it."""
    depths: Float[Tensor, "V"]


class ReferenceRasterizer:
    """Slow and plain; `limits` may be switched off."""

    name: str = "reference"
    device: str = "cpu"
    """It draws anywhere; here is where it is compared."""

    def __init__(self, limits: Limits | None = None):
        self.limits = limits or Limits()

    def render(
        self,
        scene: Gaussians,
        camera: Camera,
        *,
        mode: RenderMode = ANTIALIASED,
        crop: Rect | None = None,
        background: Float[Tensor, "3"] | None = None,
        features: Float[Tensor, "N F"] | None = None,
        probe: Float[Tensor, "N 4"] | None = None,
        sh_degree: int | None = None,
        trainable: Bool[Tensor, "N"] | None = None,
    ) -> Render:
        """The image of `scene`, see `base.Rasterizer`; here columns 0:2 of `probe` also shift the 2D means."""
        if trainable is not None:
            scene, features, probe = only_trainable(scene, features, probe, trainable)
        drawn = project(scene, camera, mode, self.limits)
        colors = view_colors(scene, camera, scene.sh_degree if sh_degree is None else sh_degree)[drawn.index]
        channels = torch.cat([colors, drawn.depths[:, None]], -1)
        if features is not None:
            channels = torch.cat([channels, features[drawn.index]], -1)
        shifts = None if probe is None else probe[drawn.index]
        blended, left, median = self._blend(drawn, channels, camera.pixel_centres(crop), shifts)
        alpha = 1 - left
        rgb = blended[..., :3] if background is None else blended[..., :3] + left[..., None] * background
        depth = torch.where(alpha > 0, blended[..., 3] / torch.where(alpha > 0, alpha, 1), 0)
        return Render(rgb, alpha, depth, median, None if features is None else blended[..., 4:])

    @torch.no_grad()
    def contributions(
        self,
        scene: Gaussians,
        camera: Camera,
        weights: Float[Tensor, "h w M"],
        *,
        mode: RenderMode = ANTIALIASED,
        crop: Rect | None = None,
    ) -> Float[Tensor, "N M"]:
        """Each Gaussian's summed blending weight over the weighted pixels."""
        drawn = project(scene, camera, mode, self.limits)
        total = weights.new_zeros(len(scene), weights.shape[-1])
        pixels = camera.pixel_centres(crop).reshape(-1, 2).to(drawn.means)
        for points, amounts in zip(
            _chunks(pixels, len(drawn.index)), _chunks(weights.flatten(0, 1), len(drawn.index)), strict=True
        ):
            blending, _ = blending_weights(drawn, points, None, self.limits)
            total.index_add_(0, drawn.index, blending.T @ amounts)
        return total

    def _blend(
        self,
        drawn: Footprints,
        channels: Float[Tensor, "V C"],
        pixels: Float[Tensor, "h w 2"],
        shifts: Float[Tensor, "V 4"] | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Blended channels (h, w, C), transmittance left (h, w), median depth (h, w)."""
        height, width = pixels.shape[:2]
        if len(drawn.index) == 0:
            blank = channels.sum() * 0 + channels.new_zeros(height, width)
            return blank[..., None].expand(-1, -1, channels.shape[1]), 1 + blank, blank.detach()
        parts = []
        for points in _chunks(pixels.reshape(-1, 2).to(drawn.means), len(drawn.index)):
            weights, through = blending_weights(drawn, points, shifts, self.limits)
            parts.append((weights @ channels, through[:, -1], _median_depth(through, drawn.depths)))
        blended, left, median = (torch.cat(part) for part in zip(*parts, strict=True))
        return blended.view(height, width, -1), left.view(height, width), median.view(height, width)


def project(scene: Gaussians, camera: Camera, mode: RenderMode, limits: Limits) -> Footprints:
    """The Gaussians in front of the camera as 2D Gaussians, sorted by depth."""
    viewmat, K = camera.viewmat.to(scene.means), camera.K.to(scene.means)
    local = scene.means @ viewmat[:3, :3].T + viewmat[:3, 3]
    index = (local[:, 2] >= limits.near).nonzero()[:, 0]
    index = index[torch.argsort(local[index, 2], stable=True)]
    x, y, z = local[index].unbind(-1)
    xx, xy, yy, sharp = planar_covariances(scene.take(index), camera)
    blurred = sharp + mode.eps2d * (xx + yy) + mode.eps2d**2
    conics = torch.stack([yy + mode.eps2d, -xy, xx + mode.eps2d], -1) / blurred[:, None]
    opacities = scene.opacities[index]
    if mode.antialiased:
        opacities = opacities * torch.where(sharp > 0, torch.where(sharp > 0, sharp / blurred, 1).sqrt(), 0)
    means = torch.stack([K[0, 0] * x / z + K[0, 2], K[1, 1] * y / z + K[1, 2]], -1)
    return Footprints(index, means, conics, opacities, z)


def planar_covariances(scene: Gaussians, camera: Camera) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """2D covariances in the image, px^2, before any filter: xx, xy, yy and the determinant, each (N,)."""
    viewmat, K = camera.viewmat.to(scene.means), camera.K.to(scene.means)
    local = scene.means @ viewmat[:3, :3].T + viewmat[:3, 3]
    axes = rotations(scene.quats) * scene.scales[:, None, :]
    rows = _jacobian(local, K, camera) @ viewmat[:3, :3] @ axes
    # The determinant of rows rows^T is |row0 x row1|^2: no cancellation for needles.
    xx, xy, yy = (rows[:, 0] ** 2).sum(-1), (rows[:, 0] * rows[:, 1]).sum(-1), (rows[:, 1] ** 2).sum(-1)
    return xx, xy, yy, (torch.linalg.cross(rows[:, 0], rows[:, 1]) ** 2).sum(-1)


def view_colors(scene: Gaussians, camera: Camera, degree: int) -> Float[Tensor, "N 3"]:
    """The Gaussians' colours as this camera sees them."""
    viewmat = camera.viewmat.to(scene.means)
    position = -viewmat[:3, :3].T @ viewmat[:3, 3]
    degree = min(degree, scene.sh_degree)
    return sh_colors(scene.means - position, torch.cat([scene.sh0, scene.shN], 1), degree)


def blending_weights(
    drawn: Footprints, points: Float[Tensor, "P 2"], shifts: Float[Tensor, "V 4"] | None, limits: Limits
) -> tuple[Float[Tensor, "P V"], Float[Tensor, "P V"]]:
    """alpha_i T_i of every Gaussian at every pixel, and the transmittance behind each."""
    means = (
        drawn.means.expand(len(points), -1, -1) if shifts is None else _Probe.apply(drawn.means, shifts, len(points))
    )
    dx, dy = (points[:, None] - means).unbind(-1)
    xx, xy, yy = drawn.conics.unbind(-1)
    power = 0.5 * (xx * dx * dx + yy * dy * dy) + xy * dx * dy
    alpha = (drawn.opacities * torch.exp(-power)).clamp_max(limits.alpha_max)
    alpha = torch.where(alpha >= limits.alpha_min, alpha, 0)
    # Transmittance only falls, so the Gaussians before the cut-off are a prefix of the sorted list.
    alpha = torch.where(torch.cumprod(1 - alpha, 1) > limits.transmittance_min, alpha, 0)
    through = torch.cumprod(1 - alpha, 1)
    before = torch.cat([torch.ones_like(through[:, :1]), through[:, :-1]], 1)
    return alpha * before, through


class _Probe(torch.autograd.Function):
    """2D means repeated for every pixel; going back, the sum and the sum of absolutes over the pixels."""

    @staticmethod
    def forward(ctx, means: Tensor, shifts: Tensor, pixels: int) -> Tensor:
        return (means + shifts[:, :2]).expand(pixels, -1, -1)

    @staticmethod
    def backward(ctx, *grads: Tensor):
        signed = grads[0].sum(0)
        return signed, torch.cat([signed, grads[0].abs().sum(0)], -1), None


def _jacobian(local: Float[Tensor, "V 3"], K: Float[Tensor, "3 3"], camera: Camera) -> Float[Tensor, "V 2 3"]:
    """d(pixel)/d(camera space), evaluated no further out than the margin around the full image."""
    z = local[:, 2]
    plane = []
    for axis, size in enumerate((camera.width, camera.height)):
        focal, centre, margin = K[axis, axis], K[axis, 2], base.FRUSTUM_MARGIN * size / 2
        plane.append((local[:, axis] / z).clamp(-(centre + margin) / focal, (size - centre + margin) / focal))
    zero = torch.zeros_like(z)
    rows = [
        torch.stack([K[0, 0] / z, zero, -K[0, 0] * plane[0] / z], -1),
        torch.stack([zero, K[1, 1] / z, -K[1, 1] * plane[1] / z], -1),
    ]
    return torch.stack(rows, -2)


def _median_depth(through: Float[Tensor, "P V"], depths: Float[Tensor, "V"]) -> Float[Tensor, "P"]:
    below = through.detach() < 0.5
    first = below.to(torch.uint8).argmax(1)
    return torch.where(below.any(1), depths.detach()[first], 0)


def _chunks(rows: Tensor, gaussians: int) -> tuple[Tensor, ...]:
    return rows.split(max(1, PAIRS_AT_ONCE // max(1, gaussians)))
