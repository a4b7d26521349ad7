"""COLMAP's sparse models, binary and text: cameras, poses and points.

Read here and not by pycolmap because that reads a truncated file as garbage or hangs on it (4.2.1), wants points3D even
where nobody needs it, and loads every 2D observation. Lenses are pycolmap's (lens.py).
Format: colmap.github.io/format.html; rigs and frames have not changed the cameras, images and points3D files.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from gaussian_lens_app.errors import BadFile, FileError
from gaussian_lens_app.formats.lens import Lens, checked_lens, model_of_id
from gaussian_lens_app.formats.shots import Shot, Shots, existing, holds_photos
from gaussian_lens_app.scene import SparsePoints
from gaussian_lens_app.scene.gaussians import rotations

_PHOTO_FOLDERS = ("images", "input", "images_2", "images_4", "images_8", "")


def find_models(path: Path) -> list[Path]:
    """Folders that hold a sparse model, for a capture's folder, the model's own, or that of the photos beside it."""
    roots = [path, path / "0", path / "sparse", *sorted(path.glob("sparse/*")), *sorted(path.glob("colmap/sparse/*"))]
    if holds_photos(path):
        roots += [path.parent / "sparse", *sorted(path.parent.glob("sparse/*"))]
    found = [root for root in roots if _kind(root)]
    return list(dict.fromkeys(found))


def read_colmap(model: Path, capture: Path) -> Shots:
    """Every registered photo of the model; `capture` is the folder the user gave."""
    if _kind(model) == ".bin":
        lenses, images, points = _cameras_bin(model), _images_bin(model), _points_bin(model)
    else:
        lenses, images, points = _cameras_txt(model), _images_txt(model), _points_txt(model)
    images = list(images)
    if not images:
        raise BadFile(f"{model} has no registered photo: run COLMAP's mapper again.")
    folders = _photo_folders(capture, model, [name for name, _, _ in images])
    shots = []
    for name, lens, pose in images:
        if lens not in lenses:
            raise BadFile(f"{model} has no camera {lens}, which photo {name} was taken with: it is damaged.")
        shots.append(Shot(name, _viewmat(pose, model), lenses[lens], tuple(folder / name for folder in folders)))
    return Shots(tuple(shots), points, model)


def _kind(folder: Path) -> str:
    """The suffix of the model's files, empty where there is none."""
    both = [s for s in (".bin", ".txt") if all((folder / f"{n}{s}").is_file() for n in ("cameras", "images"))]
    return both[0] if both else ""


def _photo_folders(capture: Path, model: Path, names: list[str]) -> list[Path]:
    """Where the photos are: the folder that has most of them, else the ones to name in the error."""
    bases = [capture, model, model.parent, model.parent.parent]
    folders = [base / folder for base in bases for folder in _PHOTO_FOLDERS]
    if holds_photos(capture):
        folders.insert(0, capture)
    folders = [folder for folder in dict.fromkeys(folders) if folder.is_dir()]
    hits = {folder: sum(existing(folder / name) is not None for name in names) for folder in folders}
    best = max(folders, key=lambda folder: hits[folder], default=capture)
    return [best if hits.get(best) else capture / "images"]


def _viewmat(pose: np.ndarray, model: Path) -> np.ndarray:
    """(4, 4) from a wxyz quaternion and a translation, world to camera."""
    if not np.isfinite(pose).all() or np.linalg.norm(pose[:4]) < 1e-9:
        raise BadFile(f"{model} has a photo whose pose is no rotation and translation: it is damaged.")
    viewmat = np.eye(4)
    viewmat[:3, :3] = rotations(torch.from_numpy(pose[None, :4]))[0].numpy()
    viewmat[:3, 3] = pose[4:]
    return viewmat


class _Bytes:
    """A file read from front to back that says so when it ends too early."""

    def __init__(self, path: Path):
        self.path, self.at = path, 0
        try:
            self.data = path.read_bytes()
        except OSError as error:
            raise FileError(f"{path} cannot be read: {error.strerror or error}.") from error

    def take(self, format: str) -> tuple:
        self.at, start = self.at + struct.calcsize(format), self.at
        if self.at > len(self.data):
            raise self.truncated()
        return struct.unpack_from(format, self.data, start)

    def word(self) -> str:
        """Bytes up to the next zero."""
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise self.truncated()
        self.at, start = end + 1, self.at
        return self.data[start:end].decode("utf-8", "surrogateescape")

    def skip(self, size: int) -> None:
        self.at += size
        if self.at > len(self.data):
            raise self.truncated()

    def truncated(self) -> BadFile:
        return BadFile(f"{self.path} is truncated: its counts promise more than its {len(self.data)} bytes hold.")


def _cameras_bin(model: Path) -> dict[int, Lens]:
    file, lenses = _Bytes(model / "cameras.bin"), {}
    for _ in range(file.take("<Q")[0]):
        number, kind, width, height = file.take("<iiQQ")
        name, count = model_of_id(kind, str(file.path))
        lenses[number] = checked_lens(name, width, height, file.take(f"<{count}d"), str(file.path))
    return lenses


def _images_bin(model: Path) -> Iterator[tuple[str, int, np.ndarray]]:
    """(name, camera, quaternion and translation)"""
    file = _Bytes(model / "images.bin")
    for _ in range(file.take("<Q")[0]):
        _, *pose, camera = file.take("<i7di")
        yield file.word(), camera, np.array(pose)
        file.skip(24 * file.take("<Q")[0])  # the photo's feature points: x, y, point number


def _points_bin(model: Path) -> SparsePoints | None:
    if not (model / "points3D.bin").is_file():
        return None
    file, positions, colors = _Bytes(model / "points3D.bin"), [], []
    for _ in range(file.take("<Q")[0]):
        _, x, y, z, r, g, b, _, track = file.take("<Q3d3BdQ")
        positions.append((x, y, z))
        colors.append((r, g, b))
        file.skip(8 * track)
    return _points(positions, colors)


def _rows(path: Path) -> Iterator[tuple[int, str]]:
    """(line number, line) without comments, blank lines included."""
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}.") from error
    yield from ((number, line.strip()) for number, line in enumerate(lines, 1) if not line.startswith("#"))


def _cameras_txt(model: Path) -> dict[int, Lens]:
    path, lenses = model / "cameras.txt", {}
    for number, line in _rows(path):
        if not line:
            continue
        try:
            camera, name, width, height, *params = line.split()
            values = (int(width), int(height), tuple(map(float, params)))
            key = int(camera)
        except ValueError as error:
            raise _bad_line(path, number) from error
        lenses[key] = checked_lens(name, *values, str(path))
    return lenses


def _images_txt(model: Path) -> Iterator[tuple[str, int, np.ndarray]]:
    path, is_points = model / "images.txt", False
    for number, line in _rows(path):
        if is_points or not line:  # each photo's line is followed by one with its feature points, often empty
            is_points = False
            continue
        try:
            _, *pose, camera, name = line.split(maxsplit=9)
            if len(pose) != 7:
                raise _bad_line(path, number)
            yield name, int(camera), np.array(pose, np.float64)
        except ValueError as error:
            raise _bad_line(path, number) from error
        is_points = True


def _points_txt(model: Path) -> SparsePoints | None:
    path, positions, colors = model / "points3D.txt", [], []
    if not path.is_file():
        return None
    for number, line in _rows(path):
        if not line:
            continue
        try:
            x, y, z, r, g, b = line.split(maxsplit=7)[1:7]
            positions.append((float(x), float(y), float(z)))
            colors.append((int(r), int(g), int(b)))
        except ValueError as error:
            raise _bad_line(path, number) from error
    return _points(positions, colors)


def _bad_line(path: Path, number: int) -> BadFile:
    return BadFile(f"{path} cannot be understood at line {number}: it is damaged or truncated.")


def _points(positions: list, colors: list) -> SparsePoints | None:
    if not positions:
        return None
    xyz = np.array(positions, np.float32)
    rgb = np.clip(np.array(colors), 0, 255).astype(np.uint8)
    finite = np.isfinite(xyz).all(1)
    return SparsePoints(torch.from_numpy(xyz[finite]), torch.from_numpy(rgb[finite]))
