"""How well a 2D prior restores pictures that were made small: PSNR and SSIM of luma, gradient energy, agreement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from gaussian_lens_app.evaluation.metrics import full_ssim_map
from gaussian_lens_app.optimize.losses import psnr_of_mse
from gaussian_lens_app.priors.base import AnyPrior, Picture, Upscaler, first_guess, is_diffusion, sampled
from gaussian_lens_app.priors.resizing import enlarged, reduced

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
Luma = Float[Tensor, "H W"]


@dataclass(frozen=True)
class PictureFigures:
    """Of one picture restored in one way."""

    psnr: float
    """Of luma, borders of `scale` pixels left out, dB."""
    ssim: float
    gradient_energy: float
    """Mean squared difference of neighbours over the same of the original; 1 is as detailed."""
    agreement: float
    """PSNR of the restored picture made small again against the input, dB."""


def read_pair(path: Path, scale: int) -> tuple[Picture, Picture]:
    """(the picture cropped to a multiple of `scale`, its bicubic small version in 8 bits), 0..1."""
    image = Image.open(path).convert("RGB")
    width, height = image.width // scale * scale, image.height // scale * scale
    image = image.crop((0, 0, width, height))
    small = image.resize((width // scale, height // scale), Image.Resampling.BICUBIC)
    return _picture(image), _picture(small)


def restorations(prior: AnyPrior, small: Picture, seed: int = 0) -> dict[str, Picture]:
    """By name: bicubic, and what the prior makes (the first step's x0 and a sample, or its one answer)."""
    found = {"bicubic": enlarged(small, prior.scale)}
    if is_diffusion(prior):
        found["x0"] = first_guess(prior, small, torch.Generator().manual_seed(seed))
        found["sampled"] = sampled(prior, small, torch.Generator().manual_seed(seed))
    else:
        found["upscaled"] = cast(Upscaler, prior).upscale(small)
    return {name: (picture.clamp(0, 1) * 255).round() / 255 for name, picture in found.items()}


def picture_figures(picture: Picture, true: Picture, small: Picture) -> PictureFigures:
    """The figures of one restored picture."""
    scale = true.shape[0] // small.shape[0]
    inside = (slice(scale, -scale), slice(scale, -scale))
    restored, original = luma(picture)[inside], luma(true)[inside]
    alike = full_ssim_map(*(values[..., None].expand(-1, -1, 3).contiguous() for values in (restored, original)))
    agreement = (reduced(picture, scale, "bicubic") - small).square().mean()
    return PictureFigures(
        psnr_of_mse(float((restored - original).square().mean())),
        float(alike.mean()),
        _energy(restored) / max(_energy(original), 1e-12),
        psnr_of_mse(float(agreement)),
    )


def evaluate_prior(prior: AnyPrior, paths: Sequence[Path]) -> dict[str, list[PictureFigures]]:
    """By restoration, the figures of each picture."""
    found: dict[str, list[PictureFigures]] = {}
    for path in paths:
        true, small = read_pair(path, prior.scale)
        for name, picture in restorations(prior, small).items():
            found.setdefault(name, []).append(picture_figures(picture, true, small))
    return found


def means(found: dict[str, list[PictureFigures]]) -> dict[str, dict[str, float]]:
    """By restoration, the mean of each figure."""
    return {
        name: {key: float(np.mean([asdict(row)[key] for row in rows])) for key in asdict(rows[0])}
        for name, rows in found.items()
    }


def pictures_in(folder: Path) -> list[Path]:
    """Image files, sorted by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def luma(picture: Picture) -> Luma:
    """Y of ITU-R BT.601 in 16..235 over 255, the channel that super-resolution papers measure."""
    return (picture @ picture.new_tensor([65.481, 128.553, 24.966]) + 16) / 255


def _energy(values: Luma) -> float:
    return float(values.diff(dim=0).square().mean() + values.diff(dim=1).square().mean())


def _picture(image: Image.Image) -> Picture:
    return torch.from_numpy(np.array(image)).float() / 255
