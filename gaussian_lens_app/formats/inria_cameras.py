"""cameras.json of INRIA's training code: one pinhole camera a photo, camera-to-world in OpenCV axes.

Format: camera_to_JSON in utils/camera_utils.py of the reference code of Kerbl et al. (2023).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from gaussian_lens_app.errors import BadFile
from gaussian_lens_app.formats.json_file import read_json
from gaussian_lens_app.formats.lens import checked_lens
from gaussian_lens_app.formats.shots import Shot, Shots, rigid

NAME = "cameras.json"
_KEYS = ("img_name", "width", "height", "position", "rotation", "fx", "fy")


def read_inria_cameras(path: Path, capture: Path) -> Shots:
    """Every camera of the file; photos are looked for in the folders it may have been made from."""
    data = read_json(path)
    if not is_inria_cameras(data):
        raise BadFile(f"{path} is no list of cameras with {', '.join(_KEYS)}: it is damaged or of another program.")
    folders = _photo_folders(path, capture)
    return Shots(tuple(_shot(entry, folders, path) for entry in data), None, path)


def is_inria_cameras(data: Any) -> bool:
    return (
        isinstance(data, list) and bool(data) and all(isinstance(e, dict) and all(k in e for k in _KEYS) for e in data)
    )


def _shot(entry: dict, folders: list[Path], path: Path) -> Shot:
    name = str(entry["img_name"])
    where = f"{path} (photo {name})"
    try:
        rotation, position = np.asarray(entry["rotation"], float), np.asarray(entry["position"], float)
        camtoworld = rigid(np.concatenate([rotation, position[:, None]], 1), where)
        width, height, fx, fy = int(entry["width"]), int(entry["height"]), float(entry["fx"]), float(entry["fy"])
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        raise BadFile(f"{where} has values that are no numbers of the expected shape: it is damaged.") from error
    lens = checked_lens("PINHOLE", width, height, (fx, fy, width / 2, height / 2), where)
    return Shot(name, np.linalg.inv(camtoworld), lens, tuple(folder / name for folder in folders))


def _photo_folders(path: Path, capture: Path) -> list[Path]:
    """The folder given, the file's own, `images` in both, and the capture that the training was run on."""
    folders = [folder for base in (capture, path.parent) for folder in (base / "images", base)]
    arguments = path.parent / "cfg_args"
    text = arguments.read_text(errors="replace") if arguments.is_file() else ""
    source = re.search(r"source_path='([^']*)'", text)
    images = re.search(r"\bimages='([^']*)'", text)
    if source:
        base = (path.parent / source[1]).expanduser()
        folders += [base / (images[1] if images else "images"), base / "images", base]
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]
