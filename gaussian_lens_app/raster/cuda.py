"""The rasterizer for CUDA: gsplat's kernels behind the protocol, with what gsplat 1.5.3 lacks built from its parts.

Contributions are the gradient of a feature render to its features; median depth comes from the index rasterizer.
Nothing here touches CUDA before it is called: gsplat imports without a GPU.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from gsplat.cuda._wrapper import (
    fully_fused_projection,
    isect_offset_encode,
    isect_tiles,
    rasterize_to_indices_in_range,
    rasterize_to_pixels,
    spherical_harmonics,
)
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gaussian_lens_app.errors import DeviceError
from gaussian_lens_app.raster.base import ALPHA_MAX, ALPHA_MIN, ANTIALIASED, NEAR, Render, RenderMode
from gaussian_lens_app.raster.frozen import only_trainable
from gaussian_lens_app.raster.reference import ReferenceRasterizer
from gaussian_lens_app.scene import Camera, Gaussians, Rect
from gaussian_lens_app.scene.memory import memory_ran_out

TILE = 16
MOST_TILES = 2**31 - 1
"""gsplat sorts by 32 bits of depth and at most 31 of the tile, unchecked: with more it writes where it must not."""
TOO_LARGE = "The GPU's memory is too small for this scene: close other programs, render smaller, or use --device cpu."


class CudaRender(Render):
    """A render whose median depth is computed when it is first asked for: it costs as much as the picture."""

    _median: Callable[[], Tensor]

    def __init__(
        self, rgb: Tensor, alpha: Tensor, depth: Tensor, features: Tensor | None, median: Callable[[], Tensor]
    ):
        values = {"rgb": rgb, "alpha": alpha, "depth": depth, "features": features, "_median": median}
        for name, value in values.items():
            object.__setattr__(self, name, value)  # the base is frozen

    @cached_property
    def median_depth(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._median()


@dataclass(frozen=True, eq=False)
class Listing:
    """Projected Gaussians and, per tile, which of them enter it; a leading 1 is gsplat's camera axis."""

    means: Float[Tensor, "1 N 2"]
    """Centres in pixels of the window."""
    conics: Float[Tensor, "1 N 3"]
    opacities: Float[Tensor, "1 N"]
    depths: Float[Tensor, "1 N"]
    visible: Bool[Tensor, "N"]
    """The other rows of the tensors above are not filled."""
    offsets: Int[Tensor, "1 rows columns"]
    entries: Int[Tensor, "P"]
    width: int
    height: int

    @property
    def grid(self) -> tuple[int, int, int, Tensor, Tensor]:
        """The last arguments of gsplat's rasterizers."""
        return self.width, self.height, TILE, self.offsets, self.entries

    def detach(self) -> Listing:
        """The same values outside the graph."""
        names = ("means", "conics", "opacities", "depths")
        return dataclasses.replace(self, **{name: getattr(self, name).detach() for name in names})


class CudaRasterizer:
    """gsplat on the current CUDA device."""

    name: str = "cuda"
    device: str = "cuda"

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
        """The image of `scene`, see `base.Rasterizer`."""
        if len(scene) == 0:  # gsplat divides by the number of Gaussians
            return ReferenceRasterizer().render(scene, camera, crop=crop, background=background, features=features)
        if trainable is not None:
            scene, features, probe = only_trainable(scene, features, probe, trainable.to(scene.device))
        degree = scene.sh_degree if sh_degree is None else min(sh_degree, scene.sh_degree)
        with _memory_as_device_error():
            listing = list_splats(scene, camera, mode, crop or camera.rect, probe)
            channels = torch.cat([view_colors(scene, camera, degree), listing.depths[0][:, None]], -1)
            if features is not None:
                channels = torch.cat([channels, features], -1)
            splats = listing.means, listing.conics, channels[None], listing.opacities
            blended, alpha = rasterize_to_pixels(*splats, *listing.grid, absgrad=probe is not None)
        alpha, rgb = alpha[0, ..., 0], blended[0, ..., :3]
        if background is not None:
            rgb = rgb + (1 - alpha)[..., None] * background
        depth = torch.where(alpha > 0, blended[0, ..., 3] / torch.where(alpha > 0, alpha, 1), 0)
        plain = listing.detach()
        return CudaRender(
            rgb, alpha, depth, None if features is None else blended[0, ..., 4:], lambda: median_depth(plain)
        )

    def contributions(
        self,
        scene: Gaussians,
        camera: Camera,
        weights: Float[Tensor, "h w M"],
        *,
        mode: RenderMode = ANTIALIASED,
        crop: Rect | None = None,
    ) -> Float[Tensor, "N M"]:
        """Each Gaussian's summed blending weight: d(sum weights * blended)/d(features) of any features."""
        if len(scene) == 0:
            return weights.new_zeros(0, weights.shape[-1])
        # Whoever draws may be in inference mode, in which nothing has a gradient.
        with _memory_as_device_error(), torch.inference_mode(False), torch.enable_grad():
            listing = list_splats(scene.detach(), camera, mode, crop or camera.rect, None)
            features = torch.zeros(1, len(scene), weights.shape[-1], device=scene.device, requires_grad=True)
            blended, _ = rasterize_to_pixels(listing.means, listing.conics, features, listing.opacities, *listing.grid)
            return torch.autograd.grad(blended, features, weights.to(blended)[None])[0][0]


def list_splats(scene: Gaussians, camera: Camera, mode: RenderMode, window: Rect, probe: Tensor | None) -> Listing:
    """Project with the full camera, on which the Jacobian's clamp depends; then shift the centres to the window."""
    camera = camera.to(scene.device)
    opacities = scene.opacities
    radii, means, depths, conics, compensations = fully_fused_projection(
        scene.means,
        None,
        scene.quats,
        scene.scales,
        camera.viewmat.to(scene.means)[None],
        camera.K.to(scene.means)[None],
        camera.width,
        camera.height,
        eps2d=mode.eps2d,
        near_plane=NEAR,
        calc_compensations=mode.antialiased,
        opacities=opacities,
    )
    visible = (radii > 0).all(-1)
    opacities = opacities[None]
    if mode.antialiased:
        opacities = opacities * torch.where(visible, compensations, 0)
    x0, y0, x1, y1 = window
    means = (means - means.new_tensor([x0, y0])).contiguous()
    if probe is not None:
        means = _with_probe(means, probe)
    columns, rows = -(-(x1 - x0) // TILE), -(-(y1 - y0) // TILE)
    if columns * rows > MOST_TILES:
        raise DeviceError(TOO_LARGE)
    _, keys, entries = isect_tiles(means, radii, depths, TILE, columns, rows)
    offsets = isect_offset_encode(keys, 1, columns, rows)
    return Listing(means, conics, opacities, depths, visible[0], offsets, entries, x1 - x0, y1 - y0)


def view_colors(scene: Gaussians, camera: Camera, degree: int) -> Float[Tensor, "N 3"]:
    """The Gaussians' colours as this camera sees them."""
    directions = scene.means - camera.position.to(scene.means)
    coefficients = torch.cat([scene.sh0, scene.shN], 1)
    return (spherical_harmonics(degree, directions, coefficients) + 0.5).clamp_min(0)


@torch.no_grad()
def median_depth(listing: Listing) -> Float[Tensor, "h w"]:
    """z of the Gaussian at which transmittance first falls below 0.5, 0 where it never does.

    Walks the tile lists in batches, keeping only pixels still above 0.5, so memory stays at one batch a pixel.
    """
    pixels = listing.height * listing.width
    through = torch.ones(pixels, device=listing.means.device)
    result = torch.zeros_like(through)
    bounds = torch.cat([listing.offsets.flatten(), listing.offsets.new_tensor([len(listing.entries)])])
    batches = -(-int((bounds[1:] - bounds[:-1]).max()) // TILE**2)
    for batch in range(batches):
        waiting = torch.where(through >= 0.5, through, 0)  # transmittance 0 tells gsplat that the pixel is finished
        gaussians, at, _ = rasterize_to_indices_in_range(
            batch,
            batch + 1,
            waiting.view(1, listing.height, listing.width),
            listing.means,
            listing.conics,
            listing.opacities,
            *listing.grid,
        )
        if len(gaussians) == 0:
            continue
        after = _transmittances(listing, gaussians, at, through)
        below = (after < 0.5).nonzero()[:, 0]
        first = torch.full((pixels,), len(after), device=after.device).scatter_reduce(0, at[below], below, "amin")
        found = first < len(after)
        result[found] = listing.depths[0][gaussians[first[found]]]
        through = through.scatter_reduce(0, at, after, "amin")
    return result.view(listing.height, listing.width)


def _transmittances(listing: Listing, gaussians: Tensor, at: Tensor, through: Tensor) -> Float[Tensor, "M"]:
    """Transmittance behind each (Gaussian, pixel) pair; pairs come pixel by pixel, nearest first."""
    centre = torch.stack([at % listing.width, at // listing.width], -1) + 0.5
    dx, dy = (centre - listing.means[0][gaussians]).unbind(-1)
    xx, xy, yy = listing.conics[0][gaussians].unbind(-1)
    power = 0.5 * (xx * dx * dx + yy * dy * dy) + xy * dx * dy
    alpha = (listing.opacities[0][gaussians] * torch.exp(-power)).clamp(ALPHA_MIN, ALPHA_MAX)
    logs = torch.log1p(-alpha.double()).cumsum(0)
    starts = torch.ones_like(at, dtype=torch.bool)
    starts[1:] = at[1:] != at[:-1]
    first = starts.nonzero()[:, 0]
    before = torch.cat([logs.new_zeros(1), logs])[first]
    run = starts.cumsum(0) - 1
    return through[at] * torch.exp(logs - before[run]).float()


def _with_probe(means: Tensor, probe: Tensor) -> Tensor:
    """The same centres; going back, `probe` receives their gradient and gsplat's sum of absolutes."""
    holder: dict[str, Tensor] = {}
    holder["means"] = _Probe.apply(means, probe, holder)  # type: ignore[assignment]
    return holder["means"]


class _Probe(torch.autograd.Function):
    @staticmethod
    def forward(ctx, means: Tensor, probe: Tensor, holder: dict[str, Tensor]) -> Tensor:
        ctx.holder = holder
        return means.clone()

    @staticmethod
    def backward(ctx, *grads: Tensor):
        # gsplat hangs `absgrad` on the tensor it was given; letting go of it ends the cycle through this node.
        means: Any = ctx.holder.pop("means")
        return grads[0], torch.cat([grads[0][0], means.absgrad[0]], -1), None


@contextmanager
def _memory_as_device_error() -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not memory_ran_out(error):
            raise
        raise DeviceError(TOO_LARGE) from error
