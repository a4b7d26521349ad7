"""A pinhole camera in OpenCV axes: x right, y down, z forward."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Rect = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels, half-open; pixel (i, j) covers [j, j+1) x [i, i+1), its centre is at (j + .5, i + .5)."""


@dataclass(frozen=True, eq=False)
class Camera:
    """Pose, intrinsics and size; any principal point, one focal length per axis, no distortion."""

    viewmat: Float[Tensor, "4 4"]
    """World to camera."""
    K: Float[Tensor, "3 3"]
    """Intrinsics in pixels."""
    width: int
    height: int

    @property
    def camtoworld(self) -> Float[Tensor, "4 4"]:
        return torch.linalg.inv(self.viewmat)

    @property
    def position(self) -> Float[Tensor, "3"]:
        return -self.viewmat[:3, :3].T @ self.viewmat[:3, 3]

    @property
    def forward(self) -> Float[Tensor, "3"]:
        """Unit viewing direction in the world."""
        return self.viewmat[2, :3]

    @property
    def rect(self) -> Rect:
        """The whole image."""
        return (0, 0, self.width, self.height)

    def to(self, device: torch.device | str) -> Camera:
        return dataclasses.replace(self, viewmat=self.viewmat.to(device), K=self.K.to(device))

    def resized(self, width: int, height: int) -> Camera:
        """The same view sampled with other pixels."""
        factors = self.K.new_tensor([[width / self.width], [height / self.height], [1.0]])
        return dataclasses.replace(self, K=self.K * factors, width=width, height=height)

    def with_long_side(self, pixels: int) -> Camera:
        """The same view with its longer side at `pixels`, aspect kept to the nearest pixel."""
        factor = pixels / max(self.width, self.height)
        return self.resized(max(1, round(self.width * factor)), max(1, round(self.height * factor)))

    def shifted(self, pixels: Float[Tensor, "2"]) -> Camera:
        """Shows everything so many pixels further right and down: what a turn by so little does."""
        K = self.K.clone()
        K[:2, 2] += pixels.to(K)
        return dataclasses.replace(self, K=K)

    def cropped(self, rect: Rect) -> Camera:
        """A camera of its own for a window of this one (the rasterizers take `crop=` instead, which is exact)."""
        x0, y0, x1, y1 = rect
        K = self.K.clone()
        K[0, 2] -= x0
        K[1, 2] -= y0
        return dataclasses.replace(self, K=K, width=x1 - x0, height=y1 - y0)

    def to_camera(self, points: Float[Tensor, "N 3"]) -> Float[Tensor, "N 3"]:
        """World points in this camera's axes."""
        return points @ self.viewmat[:3, :3].T + self.viewmat[:3, 3]

    def project(self, points: Float[Tensor, "N 3"]) -> tuple[Float[Tensor, "N 2"], Float[Tensor, "N"]]:
        """World points -> pixel positions and z-depths; positions behind the camera (depth <= 0) mean nothing."""
        local = self.to_camera(points)
        depths = local[:, 2]
        safe = torch.where(depths.abs() < 1e-9, torch.full_like(depths, 1e-9), depths)
        focal, centre = torch.stack([self.K[0, 0], self.K[1, 1]]), self.K[:2, 2]
        return local[:, :2] / safe[:, None] * focal + centre, depths

    def frames(
        self, points: Float[Tensor, "N 3"], least_depth: float = 0.0
    ) -> tuple[Bool[Tensor, "N"], Float[Tensor, "N"]]:
        """(which world points are in the picture, further off than `least_depth`; z-depths of all)."""
        pixels, depths = self.project(points)
        size = pixels.new_tensor([self.width, self.height])
        return (depths > least_depth) & (pixels >= 0).all(1) & (pixels < size).all(1), depths

    def unproject(self, pixels: Float[Tensor, "*B 2"], depths: Float[Tensor, "*B"]) -> Float[Tensor, "*B 3"]:
        """Pixel positions at z-depths -> world points."""
        focal, centre = torch.stack([self.K[0, 0], self.K[1, 1]]), self.K[:2, 2]
        plane = (pixels - centre) / focal
        local = torch.cat([plane, torch.ones_like(plane[..., :1])], -1) * depths[..., None]
        return (local - self.viewmat[:3, 3]) @ self.viewmat[:3, :3]

    def pixel_centres(self, rect: Rect | None = None) -> Float[Tensor, "h w 2"]:
        """Positions of the pixel centres of a window of this image."""
        x0, y0, x1, y1 = rect or self.rect
        x = torch.arange(x0, x1, device=self.K.device) + 0.5
        y = torch.arange(y0, y1, device=self.K.device) + 0.5
        return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
