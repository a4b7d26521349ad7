"""All sample files of a training run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gaussian_lens_app.raster import Rasterizer
from gaussian_lens_app.training.data import DataSettings, make_procedural, read_decals
from gaussian_lens_app.training.real import make_real


def make_data(
    folder: Path,
    numbers: Iterable[int],
    captures: Sequence[Path],
    folds: int,
    validation_capture: str,
    rasterizer: Rasterizer,
) -> None:
    """Files that are not there yet: real captures first, then procedural scenes of these numbers."""
    for path in made(folder, numbers, captures, folds, validation_capture, rasterizer):
        print(path.name, flush=True)


def made(
    folder: Path,
    numbers: Iterable[int],
    captures: Sequence[Path],
    folds: int,
    validation_capture: str,
    rasterizer: Rasterizer,
) -> Iterator[Path]:
    """The same one by one, as asked for."""
    for capture in captures:
        split = "val" if capture.name == validation_capture else "train"
        for fold in range(folds):
            yield make_real(folder, capture, fold, split, rasterizer)
    numbers = list(numbers)
    decals = read_decals(captures, but=validation_capture) if numbers else []
    for number in numbers:
        yield make_procedural(folder, number, decals, rasterizer, DataSettings())
