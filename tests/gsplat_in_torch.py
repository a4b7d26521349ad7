"""gsplat's CUDA kernels computed by torch, so that all of `raster/cuda.py` and of gsplat's own Python runs anywhere.

`stand_in` puts them where gsplat (1.5.3) looks for its compiled ones. They check their arguments as those do, and what
those leave unwritten (the rows of Gaussians that do not show) holds NaN, so that nothing can come to depend on it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from gsplat.cuda import _torch_impl
from programs import SCRIPTS
from torch import Tensor

from gaussian_lens_app.raster.base import ALPHA_MAX, ALPHA_MIN


def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the patch is undone gsplat's kernels are these."""
    backend = SimpleNamespace(_C=SimpleNamespace(**KERNELS, CameraModelType=None, PINHOLE="pinhole"))
    monkeypatch.setitem(sys.modules, "gsplat.cuda._backend", backend)
    monkeypatch.setattr("gsplat.cuda._backend", backend, raising=False)


def _kernel(compute: Callable[..., tuple]) -> Callable[..., tuple]:
    """Takes tensors of one device, contiguous floats in single precision, and gives tensors of that device.

    Inside all is double precision on the processor.
    """

    def call(*arguments: Any) -> tuple:
        tensors = [one for one in arguments if isinstance(one, Tensor)]
        (device,) = {one.device for one in tensors}
        assert all(one.is_contiguous() for one in tensors)
        assert not any(one.dtype == torch.float64 for one in tensors)
        inside = [_double(one.detach().cpu()) if isinstance(one, Tensor) else one for one in arguments]
        results = compute(*inside)
        return tuple(one if one is None else _single(one.detach()).to(device) for one in results)

    return call


def _double(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def _single(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _project(means, covars, quats, scales, opacities, viewmats, Ks, width, height, eps2d, near, far, clip, both, model):
    assert (covars, model, clip) == (None, "pinhole", 0)
    means2d, depths, conics, compensations, spread = _projected(
        means, quats, scales, viewmats, Ks, width, height, eps2d
    )
    shown = opacities[None] * (compensations if both else 1)
    extent = (2 * (shown / ALPHA_MIN).clamp_min(1).log()).sqrt().clamp_max(3.33)
    radii = (extent[..., None] * spread).ceil()
    visible = (depths >= near) & (depths <= far) & (shown >= ALPHA_MIN)
    visible &= (means2d + radii > 0).all(-1) & (means2d - radii < means2d.new_tensor([width, height])).all(-1)
    radii = torch.where(visible[..., None], radii, 0).int()
    seen = visible.double()
    unwritten = torch.where(visible, seen, torch.nan)
    written = [one * unwritten.view(*unwritten.shape, *[1] * (one.dim() - 2)) for one in (means2d, depths, conics)]
    return radii, *written, compensations * unwritten


def _projected(means, quats, scales, viewmats, Ks, width, height, eps2d):
    """Centres, depths, conics, compensations, standard deviations along x and y."""
    covars, _ = _torch_impl._quat_scale_to_covar_preci(quats, scales, compute_preci=False)
    assert covars is not None
    _, means2d, depths, conics, compensations = _torch_impl._fully_fused_projection(
        means, covars, viewmats, Ks, width, height, eps2d, calc_compensations=True
    )
    _, flat = _torch_impl._persp_proj(*_torch_impl._world_to_cam(means, covars, viewmats), Ks, width, height)
    return means2d, depths, conics, compensations, (flat.diagonal(dim1=-2, dim2=-1) + eps2d).sqrt()


def _project_back(
    means, covars, quats, scales, viewmats, Ks, width, height, eps2d, model, radii, conics, compensations, *gradients
):
    *gradients, cameras = gradients
    assert not cameras
    rows = (radii[0] > 0).all(-1).nonzero()[:, 0]
    with torch.enable_grad():
        leaves = [one.clone().requires_grad_() for one in (means, quats, scales)]
        outputs = _projected(*(leaf[rows] for leaf in leaves), viewmats, Ks, width, height, eps2d)[:4]
        used = [(out, back[:, rows]) for out, back in zip(outputs, gradients, strict=True) if back is not None]
        found = torch.autograd.grad([out for out, _ in used], leaves, [back for _, back in used])
    return found[0], None, found[1], found[2], None


def _blend(means, conics, colors, opacities, backgrounds, masks, width, height, tile, offsets, entries):
    assert (backgrounds, masks) == (None, None)
    pairs = _pairs(0, 1 << 30, torch.ones(height * width), means, conics, opacities, width, height, offsets, entries)
    picture, alpha = _blended(means[0][pairs[0]], conics[0], colors[0], opacities[0], pairs, width, height)
    return picture, alpha, torch.zeros(1, height, width, dtype=torch.int32)


def _blended(centres, conics, colors, opacities, pairs, width, height):
    """`centres`: of each pair's Gaussian."""
    gaussians, pixels = pairs
    x, y = (pixels % width, pixels // width)
    dx, dy = x + 0.5 - centres[:, 0], y + 0.5 - centres[:, 1]
    xx, xy, yy = conics[gaussians].unbind(-1)
    power = 0.5 * (xx * dx * dx + yy * dy * dy) + xy * dx * dy
    alphas = (opacities[gaussians] * torch.exp(-power)).clamp_max(ALPHA_MAX)
    weights = (alphas * _script().through(alphas, pixels))[:, None]
    channels = torch.cat([weights * colors[gaussians], weights], 1)
    blended = channels.new_zeros(height * width, channels.shape[1]).index_add(0, pixels, channels)
    return blended[:, :-1].view(1, height, width, -1), blended[:, -1].view(1, height, width, 1)


def _blend_back(
    means, conics, colors, opacities, backgrounds, masks, width, height, tile, offsets, entries, alphas, last, *back
):
    *gradients, absolute = back
    pairs = _pairs(0, 1 << 30, torch.ones(height * width), means, conics, opacities, width, height, offsets, entries)
    with torch.enable_grad():
        centres = means[0][pairs[0]].requires_grad_()
        leaves = [one[0].clone().requires_grad_() for one in (conics, colors, opacities)]
        outputs = _blended(centres, *leaves, pairs, width, height)
        each, *others = torch.autograd.grad(outputs, [centres, *leaves], gradients)
    empty = torch.zeros_like(means[0])
    signed, unsigned = (empty.index_add(0, pairs[0], one)[None] for one in (each, each.abs()))
    return unsigned if absolute else None, signed, *(one[None] for one in others)


def _pairs(first, last, before, means, conics, opacities, width, height, offsets, entries):
    """Gaussians and pixels of what is drawn of each tile's batches of 256, from `first` up to `last`."""
    bounds = torch.cat([offsets.flatten(), offsets.new_tensor([len(entries)])]).long()
    counts = bounds.diff()
    tiles = torch.arange(len(counts)).repeat_interleave(counts)
    batch = (torch.arange(len(entries)) - bounds[:-1][tiles]) // 256
    rows = (batch >= first) & (batch < last)
    splats = means[0], conics[0], opacities[0]
    return _script().listed_pairs(tiles[rows], entries[rows], splats, (width, height), before.flatten())


def _indices(first, last, before, means, conics, opacities, width, height, tile, offsets, entries):
    return _pairs(first, last, before, means, conics, opacities, width, height, offsets, entries)


def _list(means, radii, depths, images, rows, count, tile, columns, lines, sort, segmented):
    assert (images, rows, count, sort, segmented) == (None, None, 1, True, False)
    shown = (radii > 0).all(-1)
    means, depths = torch.where(shown[..., None], means, 0), torch.where(shown, depths, 0)
    return _torch_impl._isect_tiles(means.float(), radii, depths.float(), tile, columns, lines)


def _offsets(keys, count, columns, lines):
    return (_torch_impl._isect_offset_encode(keys, count, columns, lines),)


def _harmonics(degree, directions, coefficients, masks):
    return (_torch_impl._spherical_harmonics(degree, directions, coefficients),)


def _harmonics_back(bases, degree, directions, coefficients, masks, gradient, wanted):
    with torch.enable_grad():
        leaves = [one.clone().requires_grad_() for one in (coefficients, directions)]
        (colors,) = _harmonics(degree, leaves[1], leaves[0], masks)
        found = torch.autograd.grad(colors, leaves, gradient, allow_unused=True)
    rest = torch.zeros_like(directions) if found[1] is None else found[1]
    return found[0], rest if wanted else None


def _script() -> Any:
    """scripts/gsplat_torch.py, which fills the gaps of gsplat's own path in torch."""
    if str(SCRIPTS) not in sys.path:
        sys.path.append(str(SCRIPTS))
    return importlib.import_module("gsplat_torch")


def _only(kernel: Callable[..., tuple]) -> Callable[..., Tensor]:
    return lambda *arguments: kernel(*arguments)[0]


KERNELS: dict[str, Callable] = {
    "projection_ewa_3dgs_fused_fwd": _kernel(_project),
    "projection_ewa_3dgs_fused_bwd": _kernel(_project_back),
    "rasterize_to_pixels_3dgs_fwd": _kernel(_blend),
    "rasterize_to_pixels_3dgs_bwd": _kernel(_blend_back),
    "rasterize_to_indices_3dgs": _kernel(_indices),
    "intersect_tile": _kernel(_list),
    "intersect_offset": _only(_kernel(_offsets)),
    "spherical_harmonics_fwd": _only(_kernel(_harmonics)),
    "spherical_harmonics_bwd": _kernel(_harmonics_back),
}
