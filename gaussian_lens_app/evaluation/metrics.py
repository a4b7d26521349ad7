"""Figures of one render against one photo, over the whole image, in a box, and outside it.

Renders and photos are float in 0..1; a render is clamped first, because that is what a screen shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.optimize.losses import psnr_of_mse
from gaussian_lens_app.optimize.ssim import RADIUS, ssim_map
from gaussian_lens_app.scene import Rect

MS_SSIM_SHORT_SIDE = 176
"""MS-SSIM halves the image four times and then looks through an 11 px window: smaller boxes have none."""

Image = Float[Tensor, "H W 3"]


@dataclass(frozen=True)
class BoxFigures:
    """What is measured in a box; dB and 0..1."""

    psnr: float
    ssim: float
    ms_ssim: float | None
    """None where the box's short side is under 176 px."""
    outside_psnr: float | None
    """Of everything but the box; None when the box is the whole image."""
    gradient_energy: float
    """Mean squared difference of neighbouring pixels, of the render alone: blur lowers it, noise raises it."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """One render beside its photo; the maps are computed once and read by every box."""

    rendered: Image
    """Clamped to 0..1."""
    photo: Image
    squared_error: Float[Tensor, "H W"]
    ssim: Float[Tensor, "H W"]

    @staticmethod
    def of(rendered: Image, photo: Image) -> Comparison:
        rendered = rendered.detach().clamp(0, 1).cpu()
        photo = photo.cpu()
        error = (rendered - photo).square().mean(-1)
        return Comparison(rendered, photo, error, full_ssim_map(rendered, photo).mean(-1))

    def figures(self, box: Rect | None = None) -> BoxFigures:
        """The figures in a box, or of the whole image."""
        height, width = self.squared_error.shape
        x0, y0, x1, y1 = box or (0, 0, width, height)
        rows, columns = slice(y0, y1), slice(x0, x1)
        rendered, photo = self.rendered[rows, columns], self.photo[rows, columns]
        inside = self.squared_error[rows, columns].double()
        return BoxFigures(
            psnr=psnr_of_mse(inside.mean().item()),
            ssim=self.ssim[rows, columns].double().mean().item(),
            ms_ssim=ms_ssim(rendered, photo),
            outside_psnr=self._outside(inside),
            gradient_energy=gradient_energy(rendered),
        )

    def _outside(self, inside: Tensor) -> float | None:
        pixels = self.squared_error.numel() - inside.numel()
        if pixels == 0:
            return None
        return psnr_of_mse(((self.squared_error.double().sum() - inside.sum()) / pixels).item())


def psnr(rendered: Image, photo: Image) -> float:
    """Of the whole image, dB."""
    return psnr_of_mse((rendered.detach().clamp(0, 1) - photo).double().square().mean().item())


def full_ssim_map(rendered: Image, photo: Image) -> Image:
    """SSIM at every pixel, the image mirrored beyond its border, as torchmetrics does."""
    padded = [
        F.pad(image.permute(2, 0, 1)[None], (RADIUS,) * 4, mode="reflect")[0].permute(1, 2, 0).contiguous()
        for image in (rendered, photo)
    ]
    return ssim_map(*padded)[RADIUS:-RADIUS, RADIUS:-RADIUS]


def ms_ssim(rendered: Image, photo: Image) -> float | None:
    """Multi-scale SSIM (Wang et al. 2003), None for images too small for it."""
    if min(rendered.shape[:2]) < MS_SSIM_SHORT_SIDE:
        return None
    # Imported here: with it come matplotlib and scipy.signal, which nobody who opens the viewer should wait for.
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    planes = [image.permute(2, 0, 1)[None].contiguous() for image in (rendered, photo)]
    with torch.no_grad():
        value = multiscale_structural_similarity_index_measure(planes[0], planes[1], data_range=1.0)
    assert isinstance(value, Tensor)
    return value.item()


def gradient_energy(image: Image) -> float:
    """Mean squared difference between horizontal and vertical neighbours."""
    across, down = image.diff(dim=1), image.diff(dim=0)
    return (across.square().mean() + down.square().mean()).item()
