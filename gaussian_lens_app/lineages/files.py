"""Lineages in files: one grown scene each, of a capture or of a procedural scene."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gaussian_lens_app.formats import load_capture
from gaussian_lens_app.formats.atomic import write_atomically
from gaussian_lens_app.lineages.growing import GrowSettings, Level, grow
from gaussian_lens_app.raster import Rasterizer
from gaussian_lens_app.scene import Capture, Gaussians
from gaussian_lens_app.training.data import VALIDATION_EVERY, read_decals
from gaussian_lens_app.training.scaffolds import noisy_points
from gaussian_lens_app.training.worlds import Photographed, random_capture

LONG_SIDE = 1600
LEFT_OUT = 3
"""Every third photo is kept from the scene: what renders are compared with."""


@dataclass(frozen=True, eq=False)
class Grown:
    """A scene at its resolutions, and what it was made from."""

    levels: tuple[Level, ...]
    name: str
    source: str
    """Folder of the capture, or the number of the procedural scene."""
    context: tuple[int, ...]
    """Photos that made it."""

    @property
    def procedural(self) -> bool:
        return self.source.isdigit()


def make_lineages(
    folder: Path,
    numbers: Iterable[int],
    captures: Sequence[Path],
    folds: int,
    validation_capture: str,
    rasterizer: Rasterizer,
) -> Iterator[Path]:
    """Files that are not there yet are made, one by one: so many folds of each capture, then procedural scenes.

    Names begin with train or val; every tenth procedural scene and the validation capture never train.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for fold in range(folds):
        for capture in captures:
            split = "val" if capture.name == validation_capture else "train"
            yield make_captured(folder / f"{split}-{capture.name}-{fold}.pt", capture, fold, rasterizer)
    decals: list[np.ndarray] = []
    for number in numbers:
        path = folder / f"{'val' if number % VALIDATION_EVERY == 0 else 'train'}-procedural{number}.pt"
        if not path.exists():
            decals = decals or read_decals(captures, but=validation_capture)
            save_grown(path, grown_procedural(number, decals, rasterizer))
        yield path


def make_captured(path: Path, folder: Path, fold: int, rasterizer: Rasterizer) -> Path:
    """The file of one fold of a capture; which photos are left out differs from fold to fold."""
    if not path.exists():
        capture = load_capture(folder).with_long_side(LONG_SIDE)
        context = tuple(i for i in range(len(capture)) if i % LEFT_OUT != (fold + 1) % LEFT_OUT)
        settings = GrowSettings(seed=fold, sh_degree=_degree(fold))
        levels = grow(capture.only(list(context)), settings, rasterizer)
        save_grown(path, Grown(levels, f"{folder.name}-{fold}", str(folder.resolve()), context))
    return path


def grown_procedural(number: int, decals: Sequence[np.ndarray], rasterizer: Rasterizer) -> Grown:
    """Procedural scene `number`, taken through the resolutions."""
    taken = random_capture(number, decals)
    context = tuple(i for i in range(len(taken.capture)) if i % LEFT_OUT != 1)
    capture = procedural_context(taken, context, number)
    levels = grow(capture, GrowSettings(seed=number, sh_degree=_degree(number)), rasterizer)
    return Grown(levels, f"procedural{number}", str(number), context)


def procedural_context(taken: Photographed, context: tuple[int, ...], number: int) -> Capture:
    """The photos that make the scene, with points as structure from motion finds them."""
    points = noisy_points(taken, context, 3000, np.random.default_rng([number, 2]))
    return Capture(taken.capture.only(list(context)).photos, points)


def _degree(number: int) -> int:
    """Every second scene has view-dependent colours."""
    return 3 * (number % 2)


def save_grown(path: Path, grown: Grown) -> None:
    """Write the file that `load_grown` reads."""
    fields = [
        {
            "long_side": level.long_side,
            "parents": level.parents,
            "scene": dict(level.scene.tensors()),
            "limited": dict(level.limited.tensors()),
        }
        for level in grown.levels
    ]
    facts = {"name": grown.name, "source": grown.source, "context": list(grown.context)}
    with write_atomically(path) as file:
        torch.save({"levels": fields, **facts}, file)


def load_grown(path: Path) -> Grown:
    """The file's scene."""
    values: dict[str, Any] = torch.load(path, weights_only=True)
    levels = tuple(
        Level(level["long_side"], Gaussians(**level["scene"]), Gaussians(**level["limited"]), level["parents"])
        for level in values["levels"]
    )
    return Grown(levels, values["name"], values["source"], tuple(values["context"]))
