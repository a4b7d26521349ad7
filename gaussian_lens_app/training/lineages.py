"""What GaussianVAE trains on: families from lineage files, and windows of photos that no Gaussian was made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from gaussian_lens_app.errors import FileError
from gaussian_lens_app.formats import load, load_capture
from gaussian_lens_app.lineages.families import Families, Kind, families
from gaussian_lens_app.lineages.files import LONG_SIDE, Grown, load_grown
from gaussian_lens_app.lineages.predicting import Sequences, pseudo_ancestors, sequences
from gaussian_lens_app.lineages.sensitivity import sensitivity
from gaussian_lens_app.networks.gaussian_vae import Known
from gaussian_lens_app.optimize.band_limit import band_limited
from gaussian_lens_app.optimize.local import touching
from gaussian_lens_app.raster import ANTIALIASED, Rasterizer
from gaussian_lens_app.scene import Camera, Capture, Gaussians, Photo, Rect
from gaussian_lens_app.training.data import read_decals
from gaussian_lens_app.training.worlds import random_capture

KINDS: tuple[Kind, ...] = ("mixed", "true", "mixed", "pseudo")
LOW_LONG_SIDE = 400
CAMERAS = 8


def all_families(grown: Grown, rows: int, seed: int) -> list[Families]:
    """Each level of the scene as parents, twice, with ancestors of one kind or another, in half precision."""
    found = []
    for number in range(len(grown.levels) - 1):
        for turn in range(2):
            kind = KINDS[(seed + number + 2 * turn) % len(KINDS)]
            part = families(grown.levels, number, kind, limited=(seed + turn) % 2 == 0, rows=rows, seed=seed)
            found.append(part.map(lambda tensor: tensor.half() if tensor.is_floating_point() else tensor))
    return found


@dataclass(frozen=True, eq=False)
class Windows:
    """A scene as a bare file has it, and photos it was not made from."""

    scene: Gaussians
    seen: Sequences
    rank: Float[Tensor, "N"]
    """0 for what the picture depends on most, 1 for the least."""
    cameras: tuple[Camera, ...]
    pixels: tuple[UInt8[Tensor, "H W 3"], ...]

    def window(self, photo: int, rect: Rect) -> tuple[Int[Tensor, "M"], Float[Tensor, "h w 3"]]:
        """(rows that may show in a window of a photo, its pixels)."""
        x0, y0, x1, y1 = rect
        rows = touching(self.scene, self.cameras[photo], rect).nonzero()[:, 0]
        return rows, self.pixels[photo][y0:y1, x0:x1].float() / 255

    def known(self, rows: Int[Tensor, "M"]) -> Known:
        known = self.seen.known
        return Known(*(getattr(known, name)[rows].float() for name in ("geometry", "appearance", "context")))


def windows_of_grown(
    grown: Grown, number: int, factor: float, decals: Sequence[np.ndarray], rasterizer: Rasterizer
) -> Windows:
    """Level `number` of a scene beside the photos left out, `factor` times as large as the level's."""
    if grown.procedural:
        capture = random_capture(int(grown.source), decals).capture
    else:
        capture = load_capture(Path(grown.source)).with_long_side(LONG_SIDE)
    left = [photo for i, photo in enumerate(capture.photos) if i not in grown.context]
    level = grown.levels[number]
    photos = [photo.with_long_side(round(factor * level.long_side)) for photo in left]
    return windows(level.limited, photos, rasterizer)


def windows_of_scene(capture: Path, scene: Path, rasterizer: Rasterizer) -> Windows:
    """A scene made from a capture's context photos at 400 px (holdout 8:4), beside its test photos at full size."""
    context, test = load_capture(capture).with_long_side(LONG_SIDE).split((8, 4))
    gaussians = load(scene).gaussians
    return windows(limited(gaussians, context, rasterizer), test.photos, rasterizer)


def limited(scene: Gaussians, context: Capture, rasterizer: Rasterizer) -> Gaussians:
    """The scene with the filter of 400 px photos in its Gaussians, as it is when it is upgraded."""
    cameras = [photo.camera for photo in context.photos]
    largest = max(max(camera.width, camera.height) for camera in cameras)
    return band_limited(scene, cameras, rasterizer, ANTIALIASED.scaled(largest / LOW_LONG_SIDE))


def windows(scene: Gaussians, photos: Sequence[Photo], rasterizer: Rasterizer) -> Windows:
    """A scene and the photos to compare with; what does not depend on weights is computed once, in half precision."""
    seen = sequences(scene, pseudo_ancestors(scene))
    halves = Known(*(getattr(seen.known, name).half() for name in ("geometry", "appearance", "context")))
    cameras = tuple(photo.camera for photo in photos)
    chosen = cameras[:: -(-len(cameras) // CAMERAS)]
    values = sensitivity(scene, chosen, rasterizer, probes=2)
    rank = values.argsort(descending=True).argsort().float() / len(values)
    return Windows(scene, Sequences(seen.nodes, (), halves), rank, cameras, tuple(photo.load() for photo in photos))


def examples(
    data: Path,
    captures: Sequence[Path],
    scenes: Sequence[Path],
    validation_capture: str,
    rows: int,
    rasterizer: Rasterizer,
    pictures: bool = True,
) -> tuple[list[Families], list[Windows], list[Families], list[Windows]]:
    """(families, windows) that train and the same that validate, from files; no windows unless `pictures`."""
    decals = read_decals(captures, but=validation_capture) if pictures else []
    folders = {capture.name: capture for capture in captures}
    made: dict[str, tuple[list[Families], list[Windows]]] = {"train": ([], []), "val": ([], [])}
    for seed, path in enumerate(sorted(data.glob("*.pt"))):
        split = path.name.split("-")[0]
        if split not in made:
            continue
        grown = load_grown(path)
        made[split][0].extend(all_families(grown, rows, seed))
        # A scene of middling size, and every other time the largest, seen three times as close.
        number, factor = (3 if seed % 2 else len(grown.levels) - 1), 3.0
        if pictures and (split == "train" or grown.procedural):
            made[split][1].append(windows_of_grown(grown, number, factor, decals, rasterizer))
    for scene in scenes if pictures else ():
        split = "val" if scene.stem == validation_capture else "train"
        made[split][1].append(windows_of_scene(folders[scene.stem], scene, rasterizer))
    if not made["train"][0]:
        raise FileError(f"{data} has no lineages to train on: give --captures, or more than one --procedural scene.")
    return *made["train"], *made["val"]
