"""transforms.json as nerfstudio and instant-ngp write it: camera-to-world matrices in OpenGL axes.

Formats: docs.nerf.studio/quickstart/data_conventions.html; instant-ngp, docs/nerf_dataset_tips.md and nerf_loader.cu.
"""

from __future__ import annotations

import math
import os
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch

from gaussian_lens_app.errors import BadFile, CaptureError
from gaussian_lens_app.formats.json_file import is_number, read_json
from gaussian_lens_app.formats.lens import Lens, checked_lens
from gaussian_lens_app.formats.ply_points import read_points
from gaussian_lens_app.formats.shots import Shot, Shots, matrix_of, photo_size, rigid
from gaussian_lens_app.scene import SparsePoints

NAMES = ("transforms.json", "transforms_train.json")
_OPENGL_TO_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])
"""y up and z backward become y down and z forward; applied on the camera's side of camera-to-world."""
_MODELS = {
    **dict.fromkeys(("", "PERSPECTIVE", "PINHOLE", "SIMPLE_PINHOLE", "OPENCV", "SIMPLE_RADIAL", "RADIAL"), "OPENCV"),
    **dict.fromkeys(("FISHEYE", "OPENCV_FISHEYE"), "OPENCV_FISHEYE"),
}
_OTHER_LENSES = ("ftheta_p0", "latlong", "equirectangular")


def read_transforms(path: Path, capture: Path) -> Shots:
    """Every frame of the file; `capture` is the folder the user gave, where photos are looked for too."""
    data = read_json(path)
    frames = data.get("frames") if isinstance(data, dict) else None
    if not isinstance(frames, list) or not frames:
        raise BadFile(f"{path} has no list of frames: it is not a transforms.json.")
    files = [_file_path(frame, number, path) for number, frame in enumerate(frames)]
    names = _short_names(files)
    shots = [
        _shot(frame, data, file, name, path, capture) for frame, file, name in zip(frames, files, names, strict=True)
    ]
    return Shots(tuple(shots), _points(data, path), path, tuple(_notes(data, path)))


def is_transforms(data: Any) -> bool:
    return isinstance(data, dict) and isinstance(data.get("frames"), list)


def _file_path(frame: Any, number: int, path: Path) -> str:
    file = frame.get("file_path") if isinstance(frame, dict) else None
    if not isinstance(file, str) or not file or "transform_matrix" not in frame:
        raise BadFile(f"{path} has a frame (number {number}) without file_path or transform_matrix: it is damaged.")
    return str(PurePosixPath(file.replace("\\", "/")))


def _short_names(files: list[str]) -> list[str]:
    """File paths without the folders that all of them share."""
    folders = {os.path.dirname(file) for file in files}
    if len(folders) == 1:
        return [os.path.basename(file) for file in files]
    if len({os.path.isabs(file) for file in files}) > 1:
        return files
    shared = os.path.commonpath(list(folders))
    return [os.path.relpath(file, shared or ".") for file in files]


def _shot(frame: dict, shared: dict, file: str, name: str, path: Path, capture: Path) -> Shot:
    where = f"{path} (frame {file})"
    camtoworld = rigid(frame["transform_matrix"], where) @ _OPENGL_TO_OPENCV
    short = PurePosixPath(file).name
    places = [path.parent / file, capture / name, capture / short, path.parent / "images" / short]
    merged = {**{k: v for k, v in shared.items() if k != "frames"}, **frame}
    sized = _number(merged, "w", where) and _number(merged, "h", where)
    lens = _lens(merged, where) if sized else _lens_by_photo(merged, where)
    return Shot(name, np.linalg.inv(camtoworld), lens, tuple(dict.fromkeys(places)))


def _lens_by_photo(values: dict, where: str):
    """A lens whose size only the photo knows, as in the files of synthetic scenes."""

    def lens(photo: Path) -> Lens:
        width, height = photo_size(photo)
        return _lens({**values, "w": width, "h": height}, where)

    return lens


def _lens(values: dict, where: str) -> Lens:
    """COLMAP's lens for one frame."""
    model = _model(values, where)
    width, height = _number(values, "w", where), _number(values, "h", where)
    fx, fy = _focal(values, "x", width, where), _focal(values, "y", height, where)
    if not fx and not fy:
        raise BadFile(f"{where} has neither fl_x nor camera_angle_x: the focal length is unknown.")
    fx, fy = fx or fy, fy or fx
    cx, cy = _number(values, "cx", where, width / 2), _number(values, "cy", where, height / 2)
    k1, k2, k3, k4, p1, p2 = (_number(values, key, where) for key in ("k1", "k2", "k3", "k4", "p1", "p2"))
    size = (round(width), round(height))
    if model == "OPENCV_FISHEYE":
        return checked_lens(model, *size, (fx, fy, cx, cy, k1, k2, k3, k4), where)
    if k4:
        raise CaptureError(f"{where} has a fourth radial term k4, which is not supported: undistort the photos first.")
    if k3:
        return checked_lens("FULL_OPENCV", *size, (fx, fy, cx, cy, k1, k2, p1, p2, k3, 0.0, 0.0, 0.0), where)
    if k1 or k2 or p1 or p2:
        return checked_lens("OPENCV", *size, (fx, fy, cx, cy, k1, k2, p1, p2), where)
    return checked_lens("PINHOLE", *size, (fx, fy, cx, cy), where)


def _model(values: dict, where: str) -> str:
    stated = str(values.get("camera_model") or "").upper()
    model = "OPENCV_FISHEYE" if values.get("is_fisheye") else _MODELS.get(stated)
    if model is None or any(values.get(key) for key in _OTHER_LENSES):
        raise CaptureError(
            f"{where} has {stated or 'f-theta or panorama'} photos: only perspective and fisheye are read."
        )
    return model


def _focal(values: dict, axis: str, pixels: float, where: str) -> float:
    """Pixels, from fl_x or from the angle across the image; 0 when neither is stated."""
    angle = _number(values, f"camera_angle_{axis}", where)
    from_angle = 0.5 * pixels / math.tan(angle / 2) if 0 < angle < math.pi else 0.0
    return _number(values, f"fl_{axis}", where) or from_angle


def _number(values: dict, key: str, where: str, default: float = 0.0) -> float:
    value = values.get(key)
    if value is None:
        return default
    if not is_number(value):
        raise BadFile(f"{where} has {key} = {str(value)[:40]!r}, which is no number.")
    return float(value)


def _points(data: dict, path: Path) -> SparsePoints | None:
    """The point cloud that nerfstudio puts beside the file, in the same frame."""
    file = data.get("ply_file_path")
    if not isinstance(file, str) or not (path.parent / file).is_file():
        return None
    positions, colors = read_points(path.parent / file)
    return SparsePoints(torch.from_numpy(positions), torch.from_numpy(colors)) if len(positions) else None


def _notes(data: dict, path: Path):
    applied, scale = data.get("applied_transform"), data.get("applied_scale")
    stated = np.eye(4) if applied is None else matrix_of(applied, str(path), "an applied_transform")
    moved = not np.array_equal(stated[:3], np.eye(4)[:3])
    if moved or (scale not in (None, 1, 1.0)):
        yield f"The poses in {path.name} are used as they stand; its writer had moved them (applied_transform)."
