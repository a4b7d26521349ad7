"""Pixel rays of several windows in one frame, encoded for a network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.raster.sh import sh_basis
from gaussian_lens_app.scene import Camera


def encoded_rays(
    cameras: Sequence[Camera],
    means: Float[Tensor, "P 3"],
    height: int,
    width: int,
    stride: int,
    frame: Camera | None = None,
) -> Float[Tensor, "V 32 h w"]:
    """Degree 3 harmonics of direction and moment (Pluecker coordinates) of every `stride`-th pixel's ray.

    In the axes of `frame`, or the first camera, around the middle of `means`, lengths by their radius, so that nothing
    depends on the world's frame. Cameras are those of the windows (`Camera.cropped`).
    """
    centre = means.median(0).values
    radius = (means - centre).norm(dim=-1).quantile(0.9).clamp_min(1e-9) if len(means) < 2**23 else means.std()
    axes = (frame or cameras[0]).viewmat[:3, :3]
    encoded = []
    for camera in cameras:
        rows = (torch.arange(height, device=means.device) + 0.5) * stride
        columns = (torch.arange(width, device=means.device) + 0.5) * stride
        pixels = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)
        ends = camera.unproject(pixels, torch.ones_like(pixels[..., 0]))
        directions = F.normalize(ends - camera.position, dim=-1) @ axes.T
        moments = torch.linalg.cross(((camera.position - centre) @ axes.T / radius).expand_as(directions), directions)
        flat = torch.cat([directions.reshape(-1, 3), F.normalize(moments.reshape(-1, 3), dim=-1)])
        basis = sh_basis(3, flat).view(2, height, width, 16)
        encoded.append(torch.cat([basis[0], basis[1]], -1))
    return torch.stack(encoded).movedim(-1, 1)
