"""Training samples from real captures: low-resolution fits that each leave other photos out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gaussian_lens_app.formats import load, load_capture, save
from gaussian_lens_app.jobs.report import Report, silent
from gaussian_lens_app.optimize.reconstruct import ReconstructSettings, reconstruct
from gaussian_lens_app.raster import Rasterizer
from gaussian_lens_app.training.samples import SampleSettings, random_samples, save_samples

LONG_SIDE = 1600
LOW_LONG_SIDE = 400
EVERY = 4
"""Every so many photos one is kept out of a fit; which one differs from fold to fold."""
SIZES, FOLDS_A_SIZE = (1.0, 0.5, 0.75), 3
"""Photos and scenes are so large, in turns of three folds: what is small in one is large in another."""
SIDES = (0.1, 0.14)
"""A box's sides as parts of a photo of LONG_SIDE; of smaller ones larger parts, so many pixels either way."""


def make_real(
    folder: Path, capture_folder: Path, fold: int, split: str, rasterizer: Rasterizer, report: Report = silent
) -> Path:
    """The sample file of one fit of a capture; made only where it is not there yet."""
    path = folder / f"{split}-real-{capture_folder.name}-{fold}.pt"
    if path.exists():
        return path
    size = SIZES[fold // FOLDS_A_SIZE % len(SIZES)]
    capture = load_capture(capture_folder).with_long_side(round(LONG_SIDE * size))
    context = tuple(i for i in range(len(capture)) if i % EVERY != fold % EVERY)
    rng = np.random.default_rng([fold, len(capture)])
    # Fits of different lengths and sizes, as scenes come.
    settings = ReconstructSettings(
        long_side=round(LOW_LONG_SIDE * size),
        steps=int(rng.choice([1000, 2000])),
        max_gaussians=round(int(rng.choice([40_000, 75_000])) * size**2),
        seed=fold,
    )
    fit = folder / "fits" / f"{capture_folder.name}-{fold}.ply"
    if not fit.exists():
        fit.parent.mkdir(parents=True, exist_ok=True)
        save(fit, reconstruct(capture.only(list(context)), settings, rasterizer, report))
    scene = load(fit).gaussians
    factor = max(max(photo.camera.width, photo.camera.height) for photo in capture.photos) / settings.long_side
    boxes = SampleSettings(boxes=64, sides=(SIDES[0] / size, SIDES[1] / size), longest=230)
    samples = random_samples(scene, capture, context, factor, rng, rasterizer, boxes)
    facts = {"kind": "real", "capture": capture_folder.name, "steps": settings.steps, "size": size}
    save_samples(path, list(samples), facts)
    return path
