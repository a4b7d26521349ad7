"""A Gaussian for every pixel whose depth is known."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.networks.plane_sweep import Swept
from gaussian_lens_app.scene import SH_C0, Camera, Gaussians


def as_gaussians(
    swept: Swept, camera: Camera, photo: Float[Tensor, "3 h w"], keep: Bool[Tensor, "h w"] | None = None
) -> Gaussians:
    """A round Gaussian a pixel, of the photo's colour; `camera` and `photo` have the depth map's size."""
    keep = torch.ones_like(swept.depth, dtype=torch.bool) if keep is None else keep
    depth = swept.depth[keep]
    means = camera.unproject(camera.pixel_centres()[keep], depth)
    quats = torch.zeros(len(depth), 4, device=depth.device)
    quats[:, 0] = 1
    sigma = swept.sigma[keep] * depth / camera.K[0, 0]
    return Gaussians(
        means=means,
        quats=quats,
        log_scales=sigma.clamp_min(1e-12).log()[:, None].expand(-1, 3),
        logit_opacities=torch.logit(swept.opacity[keep], eps=1e-4),
        sh0=((photo.permute(1, 2, 0)[keep] - 0.5) / SH_C0)[:, None],
        shN=depth.new_zeros(len(depth), 0, 3),
    )
