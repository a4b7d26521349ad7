"""After `band_limited`: opacities and sizes fitted until its pictures are those of the scene it was made from.

A filter takes from a splat's opacity what depends on how thin it looks, so on where it is seen from. `band_limited`
knows the mean over the cameras; where a splat is seen from another side, and over layers of splats that are thin one by
one, pictures come out darker or lighter by a few percent, most at silhouettes. No photo is looked at: what is fitted to
are the scene's own pictures, through the old filter. Places and colours stay.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.jobs.report import Report, silent
from gaussian_lens_app.optimize.local import LocalFitSettings, LocalProblem, fit_local
from gaussian_lens_app.raster import ANTIALIASED, Rasterizer, RenderMode
from gaussian_lens_app.scene import Camera, Gaussians, Rect

STAGE = "Widening splats"


@dataclass(frozen=True)
class BandMatchSettings:
    """How closely, and how long."""

    cameras: int = 24
    """Pictures from so many of the cameras, spread over them."""
    long_side: int = 400
    """In this size, as means over the pixels of large ones."""
    seconds: float = 20.0
    """No longer, which scenes of millions would be."""
    local: LocalFitSettings = field(
        default_factory=lambda: LocalFitSettings(
            steps=120, largest_window=1 << 16, log_scales=0.012, logit_opacities=0.015, means=0, quats=0, sh0=0, shN=0
        )
    )
    """Steps and rates."""


@dataclass(frozen=True, eq=False)
class _Picture:
    """A picture of the scene as it was: all of it counts."""

    camera: Camera
    rect: Rect
    photo: Float[Tensor, "h w 3"]
    mask: Bool[Tensor, "h w"]


def band_matched(
    limited: Gaussians,
    scene: Gaussians,
    cameras: Sequence[Camera],
    rasterizer: Rasterizer,
    mode: RenderMode,
    report: Report = silent,
    settings: BandMatchSettings | None = None,
) -> Gaussians:
    """`limited`, row by row made of `scene` by `band_limited`, with opacities and scales such that it looks, drawn in
    ANTIALIASED, as `scene` does in `mode`. Never thinner than it was; colours count at degree 0."""
    settings = settings or BandMatchSettings()
    if limited is scene or not cameras or len(scene) == 0:
        return limited
    looking = cameras[:: -(-len(cameras) // settings.cameras)]
    smaller = max(1.0, max(max(camera.width, camera.height) for camera in looking) / settings.long_side)
    plain, pictures = scene.with_sh_degree(0), []
    for index, camera in enumerate(looking):
        report(STAGE, 0.2 * index / len(looking))
        pictures.append(_picture(plain, camera, rasterizer, mode, smaller))
    narrow = ANTIALIASED.averaged(smaller)
    problem = LocalProblem(Gaussians.empty(0, scene.device), pictures, [], rasterizer, narrow)

    def fitting(stage: str, fraction: float) -> None:  # the fit says that it fits to photos, which these are not
        report(STAGE, 0.2 + 0.8 * fraction)

    fitted = fit_local(problem, limited.with_sh_degree(0), settings.local, fitting, seconds=settings.seconds).gaussians
    return dataclasses.replace(
        limited,
        log_scales=torch.maximum(fitted.log_scales, scene.log_scales),
        logit_opacities=fitted.logit_opacities,
    )


def _picture(scene: Gaussians, camera: Camera, rasterizer: Rasterizer, mode: RenderMode, smaller: float) -> _Picture:
    sizes = (max(1, round(side / smaller)) for side in (camera.width, camera.height))
    small = camera.to(scene.device).resized(*sizes)
    with torch.no_grad():
        seen = rasterizer.render(scene, small, mode=mode.averaged(smaller)).rgb
    return _Picture(small, small.rect, seen, torch.ones(seen.shape[:2], dtype=torch.bool, device=scene.device))
