"""gsplat's own plain-torch path on a processor, as far as it goes, and what fills its gaps.

gsplat projects, lists and blends in torch too (gsplat.cuda._torch_impl), but two steps of that path call CUDA: the
pairs of pixels and Gaussians (rasterize_to_indices_in_range), and nerfacc's sums along rays. Here both are a few lines
of torch.
"""

from __future__ import annotations

import sys
from types import ModuleType

import torch
from gsplat.cuda import _torch_impl
from torch import Tensor

from gaussian_lens_app.raster.base import ALPHA_MAX, ALPHA_MIN, NEAR, TRANSMITTANCE_MIN
from gaussian_lens_app.scene import Camera, Gaussians

TILE = 16
ENTRIES_AT_ONCE = 20_000
"""(Gaussian, tile) entries whose 256 pixels are tried together; bounds memory."""


def project(scene: Gaussians, camera: Camera) -> tuple[Tensor, ...]:
    """Radii, 2D means, depths, conics, opacities compensated for the filter; a leading 1 is gsplat's camera axis."""
    covars, _ = _torch_impl._quat_scale_to_covar_preci(scene.quats, scene.scales, compute_preci=False)
    assert covars is not None
    viewmats, Ks = camera.viewmat[None].to(scene.means), camera.K[None].to(scene.means)
    radii, means, depths, conics, compensations = _torch_impl._fully_fused_projection(
        scene.means, covars, viewmats, Ks, camera.width, camera.height, near_plane=NEAR, calc_compensations=True
    )
    assert compensations is not None
    return radii, means, depths, conics, scene.opacities[None] * compensations


def render(scene: Gaussians, camera: Camera) -> tuple[Tensor, Tensor]:
    """RGB and sum of weighted depths (h, w, 4), alpha (h, w)."""
    radii, means, depths, conics, opacities = project(scene, camera)
    colors = _torch_impl._spherical_harmonics(
        scene.sh_degree, scene.means - camera.position.to(scene.means), torch.cat([scene.sh0, scene.shN], 1)
    )
    channels = torch.cat([(colors + 0.5).clamp_min(0), depths[0][:, None]], -1)
    with torch.no_grad():
        gaussians, pixels = pairs(radii, means, depths, conics, opacities, camera)
    _stand_in_for_nerfacc()
    splats = means, conics, opacities, channels[None]
    blended, alphas = _torch_impl.accumulate(
        *splats, gaussians, pixels, torch.zeros_like(pixels), camera.width, camera.height
    )
    return blended[0], alphas[0, ..., 0]


def pairs(radii: Tensor, means: Tensor, depths: Tensor, conics: Tensor, opacities: Tensor, camera: Camera):
    """Gaussian and pixel of every pair that is drawn, pixel by pixel, nearest first."""
    columns, rows = -(-camera.width // TILE), -(-camera.height // TILE)
    _, keys, entries = _torch_impl._isect_tiles(means, radii, depths, TILE, columns, rows)
    before = torch.ones(camera.height * camera.width)
    return listed_pairs(keys >> 32, entries, (means[0], conics[0], opacities[0]), (camera.width, camera.height), before)


def listed_pairs(
    tiles: Tensor, entries: Tensor, splats: tuple[Tensor, Tensor, Tensor], size: tuple[int, int], before: Tensor
) -> tuple[Tensor, Tensor]:
    """The same of a list of (tile, Gaussian), nearest first in each tile; splats are 2D means, conics, opacities.

    `before` is each pixel's transmittance to begin with.
    """
    (means, conics, opacities), (width, height) = splats, size
    columns, inside = -(-width // TILE), torch.arange(TILE * TILE)
    found = [(entries.new_zeros(0).long(), entries.new_zeros(0).long(), means.new_zeros(0))]
    for part in torch.arange(len(entries)).split(ENTRIES_AT_ONCE):
        x = (tiles[part] % columns)[:, None] * TILE + inside % TILE
        y = (tiles[part] // columns)[:, None] * TILE + inside // TILE
        which = entries[part].long()
        dx, dy = x + 0.5 - means[which, :1], y + 0.5 - means[which, 1:]
        xx, xy, yy = conics[which].unbind(-1)
        power = 0.5 * (xx[:, None] * dx * dx + yy[:, None] * dy * dy) + xy[:, None] * dx * dy
        alpha = (opacities[which][:, None] * torch.exp(-power)).clamp_max(ALPHA_MAX)
        drawn = (alpha >= ALPHA_MIN) & (power >= 0) & (x < width) & (y < height)
        entry, _ = drawn.nonzero(as_tuple=True)
        found.append((which[entry], (y * width + x)[drawn], alpha[drawn]))
    gaussians, pixels, alphas = (torch.cat(column) for column in zip(*found, strict=True))
    order = pixels.argsort(stable=True)
    gaussians, pixels, alphas = gaussians[order], pixels[order], alphas[order]
    kept = before[pixels] * through(alphas, pixels) * (1 - alphas) > TRANSMITTANCE_MIN
    return gaussians[kept], pixels[kept]


def through(alphas: Tensor, rays: Tensor) -> Tensor:
    """Transmittance before each sample; samples come ray by ray."""
    if len(rays) == 0:
        return torch.ones_like(alphas)
    logs = torch.log1p(-alphas.double())
    before = logs.cumsum(0) - logs
    starts = torch.ones_like(rays, dtype=torch.bool)
    starts[1:] = rays[1:] != rays[:-1]
    return torch.exp(before - before[starts][starts.cumsum(0) - 1]).to(alphas)


def _stand_in_for_nerfacc() -> None:
    """The two functions that gsplat imports from nerfacc, whose own need CUDA."""
    if "nerfacc" in sys.modules:
        return

    def render_weight_from_alpha(alphas: Tensor, ray_indices: Tensor, n_rays: int):
        reaching = through(alphas, ray_indices)
        return alphas * reaching, reaching

    def accumulate_along_rays(weights: Tensor, values: Tensor | None, ray_indices: Tensor, n_rays: int):
        amounts = weights[:, None] if values is None else weights[:, None] * values
        return amounts.new_zeros(n_rays, amounts.shape[1]).index_add(0, ray_indices, amounts)

    module = ModuleType("nerfacc")
    module.render_weight_from_alpha = render_weight_from_alpha  # type: ignore[attr-defined]
    module.accumulate_along_rays = accumulate_along_rays  # type: ignore[attr-defined]
    sys.modules["nerfacc"] = module
