"""Cameras alone, as JSON: what pictures to render."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gaussian_lens_app.errors import BadFile, CaptureError
from gaussian_lens_app.formats.atomic import write_atomically
from gaussian_lens_app.formats.inria_cameras import is_inria_cameras, read_inria_cameras
from gaussian_lens_app.formats.json_file import read_json
from gaussian_lens_app.formats.lens import LARGEST_SIDE, Lens
from gaussian_lens_app.formats.ply import load_ply
from gaussian_lens_app.formats.shots import Shot, rigid
from gaussian_lens_app.formats.transforms import is_transforms, read_transforms
from gaussian_lens_app.scene import Camera


def save_cameras(path: str | Path, cameras: Sequence[tuple[str, Camera]]) -> None:
    """Write named cameras: viewmat world to camera in OpenCV axes, K in pixels. Atomic; raises ExportError."""
    entries = [
        {
            "name": name,
            "width": camera.width,
            "height": camera.height,
            "K": camera.K.tolist(),
            "viewmat": camera.viewmat.tolist(),
        }
        for name, camera in cameras
    ]
    with write_atomically(path, "w") as file:
        json.dump({"cameras": entries}, file, indent=1)


def load_cameras(path: str | Path) -> list[tuple[str, Camera]]:
    """(name, camera) pairs of our own file, transforms.json, INRIA's cameras.json or a PLY that states some."""
    path = Path(path)
    if path.suffix.lower() == ".ply":
        cameras = load_ply(path).cameras
        if not cameras:
            raise BadFile(f"{path} states no cameras: give a transforms.json, a cameras.json or a capture.")
        return list(cameras)
    data = read_json(path)
    if is_transforms(data):
        return [_of_shot(shot, path) for shot in read_transforms(path, path.parent).shots]
    if is_inria_cameras(data):
        return [_of_shot(shot, path) for shot in read_inria_cameras(path, path.parent).shots]
    entries = data.get("cameras") if isinstance(data, dict) else None
    if not isinstance(entries, list) or not entries:
        raise BadFile(f"{path} has no cameras: give a file of this program, a transforms.json or a cameras.json.")
    return [_of_entry(entry, f"{path} (camera {number})") for number, entry in enumerate(entries)]


def _of_entry(entry: Any, where: str) -> tuple[str, Camera]:
    try:
        name, width, height = str(entry["name"]), int(entry["width"]), int(entry["height"])
        K, viewmat = (np.asarray(entry[key], np.float64) for key in ("K", "viewmat"))
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise BadFile(f"{where} lacks one of name, width, height, K, viewmat, or they are no numbers.") from error
    rigid(viewmat, where)  # a check only: what we wrote comes back with the same bits
    usable = K.shape == (3, 3) and np.isfinite(K).all() and K[0, 0] > 0 and K[1, 1] > 0
    sized = 0 < width < LARGEST_SIDE and 0 < height < LARGEST_SIDE
    if viewmat.shape != (4, 4) or not (usable and sized):
        raise BadFile(f"{where} is no pinhole camera: its K, its pose or its size is damaged.")
    return name, Camera(torch.from_numpy(viewmat).float(), torch.from_numpy(K).float(), width, height)


def _of_shot(shot: Shot, path: Path) -> tuple[str, Camera]:
    lens = shot.lens
    if not isinstance(lens, Lens):
        photo = shot.find()
        if photo is None:
            raise CaptureError(
                f"{path} states no image size and photo {shot.name} is not there to tell it: add w and h."
            )
        lens = lens(photo)
    return shot.name, lens.undistorted().camera(shot.viewmat)
