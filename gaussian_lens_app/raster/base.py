"""What every rasterizer does: scene + camera -> pixels, depths, contributions, all differentiable."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Protocol

from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.scene import Camera, Gaussians, Rect

ALPHA_MAX = 0.999
"""A single Gaussian never hides more than this, so transmittance stays differentiable."""
ALPHA_MIN = 1 / 255
"""Fainter than this at a pixel and it is skipped."""
TRANSMITTANCE_MIN = 1e-4
"""A pixel is finished before the Gaussian that would take it below this."""
NEAR = 0.01
"""Gaussians whose centre is nearer than this in z are not drawn, world units."""
EPS2D = 0.3
"""Variance of the plain 2D filter, px^2."""
PIXEL_VARIANCE = 1 / 12
"""Of the square that a photo's pixel averages over, px^2."""
FRUSTUM_MARGIN = 0.3
"""The Jacobian is evaluated at most 0.3 half-images (of the full camera) beyond the image's edge, as gsplat does:
x/z is clamped to [-(cx + 0.3 * W/2) / fx, (W - cx + 0.3 * W/2) / fx], likewise y."""


@dataclass(frozen=True)
class RenderMode:
    """How a Gaussian's footprint meets the pixel grid."""

    antialiased: bool = True
    """Compensate opacity for the blur of the 2D filter: opacity * sqrt(max(0, det(cov2d) / det(cov2d + eps2d I)))."""
    eps2d: float = EPS2D
    """Variance of the 2D filter, px^2."""

    def scaled(self, factor: float) -> RenderMode:
        """The filter of an image `factor` times smaller, in pixels of the one drawn."""
        return dataclasses.replace(self, eps2d=self.eps2d * factor**2)

    def resized(self, factor: float) -> RenderMode:
        """The mode for photos `factor` (at most 1) times as large; no filter becomes narrower than the plain one."""
        scaled = self.scaled(min(1.0, factor))
        least = min(EPS2D, self.eps2d)
        return scaled if scaled.eps2d >= least else dataclasses.replace(self, eps2d=least)

    def averaged(self, factor: float) -> RenderMode:
        """With which a scene looks as its pictures do, made `factor` times smaller by averaging: this filter stays what
        it is in the world, and a small pixel averages over its square."""
        return dataclasses.replace(self, eps2d=self.eps2d / factor**2 + PIXEL_VARIANCE)


CLASSIC = RenderMode(antialiased=False)
ANTIALIASED = RenderMode(antialiased=True)


@dataclass(frozen=True, eq=False)
class Render:
    """One image; every tensor but `median_depth` carries gradients."""

    rgb: Float[Tensor, "h w 3"]
    """sum_i w_i c_i + (1 - alpha) * background, w_i = alpha_i T_i; not clamped from above."""
    alpha: Float[Tensor, "h w"]
    depth: Float[Tensor, "h w"]
    """Expected z-depth sum w z / sum w; 0 where nothing was drawn."""
    median_depth: Float[Tensor, "h w"]
    """z-depth of the Gaussian at which transmittance first falls below 0.5; 0 where it never does."""
    features: Float[Tensor, "h w F"] | None = None
    """Blended feature channels, not normalised by alpha."""


class Rasterizer(Protocol):
    """One camera a call; `crop` gives exactly the same pixels as that window of the full image."""

    name: str
    device: str
    """Where it wants its scene, as torch names it."""

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
        """The image of `scene`.

        Gradients flow to every tensor of the scene and to `features`. `probe`, zeros with requires_grad, receives in
        its gradient the derivative to the 2D means in pixels: signed in columns 0:2, summed absolutes over pixels
        (AbsGS) in columns 2:4. Colour is max(0, SH(direction) + 0.5); `sh_degree` caps the bands used.
        `trainable` says which Gaussians get gradients, the others' are zero: cheaper when most are frozen.
        Background defaults to black. Raises DeviceError when memory runs out.
        """
        ...

    def contributions(
        self,
        scene: Gaussians,
        camera: Camera,
        weights: Float[Tensor, "h w M"],
        *,
        mode: RenderMode = ANTIALIASED,
        crop: Rect | None = None,
    ) -> Float[Tensor, "N M"]:
        """Each Gaussian's summed blending weight sum_pixels weights * alpha_i T_i, no gradients."""
        ...
