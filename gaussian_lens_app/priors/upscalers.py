"""Priors without a chain: single-image models that spandrel knows, and plain bicubic enlargement to compare with."""

from __future__ import annotations

import importlib
from pathlib import Path

import torch

from gaussian_lens_app.errors import NeedsMissing
from gaussian_lens_app.priors.base import Picture
from gaussian_lens_app.priors.resizing import enlarged, picture_of, planes

INSTALL = 'Install the loaders first: pip install "gaussian_lens_app[priors]".'


class Bicubic:
    """Enlargement that invents nothing."""

    name = "bicubic"
    licence = "none needed"
    scale = 4

    def upscale(self, small: Picture) -> Picture:
        return enlarged(small, self.scale).clamp(0, 1)


class SpandrelUpscaler:
    """A single-image super-resolution network in a .pth or .safetensors file."""

    licence = "as its file's author says"

    def __init__(self, path: Path, device: str = "cpu"):
        try:
            spandrel = importlib.import_module("spandrel")
        except Exception as error:  # broken companions raise more than ImportError
            raise NeedsMissing(f"{path} needs spandrel, which cannot be used here ({error}). {INSTALL}") from error
        try:
            model = spandrel.ModelLoader(device).load_from_state_dict(read_state(path))
        except NeedsMissing:
            raise
        except Exception as error:  # spandrel raises many kinds for files that it does not know
            raise NeedsMissing(f"{path} is no upscaler that spandrel knows ({error}): choose another file.") from error
        if not isinstance(model, spandrel.ImageModelDescriptor) or model.scale < 2:
            raise NeedsMissing(f"{path} is a {model.purpose} model, not an upscaler: choose another file.")
        self.model, self.device = model.eval(), device
        self.name, self.scale = f"{model.architecture.name} {path.name}", int(model.scale)

    @torch.no_grad()
    def upscale(self, small: Picture) -> Picture:
        return picture_of(self.model(planes(small).to(self.device)).float().clamp(0, 1)).to(small.device)


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file of weights; a pickled one only if it holds nothing but tensors and plain values."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise NeedsMissing(
            f"{path} is refused: it holds more than weights, so reading it could run a program ({str(error)[:80]}...). "
            "Convert it to .safetensors, or take a file from its author that holds weights alone."
        ) from error
