"""Small captures with known answers: five dots in space, painted where each lens shows them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gaussian_lens_app.scene import Gaussians, Photo

DOTS = np.array([[0.0, 0.0, 0.0], [0.9, 0.5, 0.2], [-0.9, 0.6, -0.2], [0.8, -0.6, 0.1], [-0.8, -0.5, 0.3]])
"""World positions, well apart in every photo below."""
SIZE = (320, 240)
OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Model:
    """A lens under COLMAP's name; `bend` maps points of the plane z = 1 to where the lens shows them."""

    name: str
    params: tuple[float, ...]
    keys: dict[str, float]
    """The same in transforms.json's words."""


def bend(model: Model, plane: np.ndarray) -> np.ndarray:
    """(N, 2) distorted plane coordinates: the textbook formulas, written down here once more."""
    k = {name: model.keys.get(name, 0.0) for name in ("k1", "k2", "k3", "k4", "p1", "p2")}
    u, v = plane.T
    r2 = u * u + v * v
    if "fisheye" in model.name.lower():
        r = np.sqrt(np.maximum(r2, 1e-18))
        t = np.arctan(r)
        bent = t * (1 + k["k1"] * t**2 + k["k2"] * t**4 + k["k3"] * t**6 + k["k4"] * t**8)
        return plane * (bent / r)[:, None]
    radial = 1 + k["k1"] * r2 + k["k2"] * r2**2 + k["k3"] * r2**3
    x = u * radial + 2 * k["p1"] * u * v + k["p2"] * (r2 + 2 * u * u)
    y = v * radial + 2 * k["p2"] * u * v + k["p1"] * (r2 + 2 * v * v)
    return np.stack([x, y], 1)


def _model(name: str, params: tuple[float, ...], **keys: float) -> Model:
    return Model(name, params, {"fl_x": 300.0, "fl_y": 300.0, "cx": 163.0, "cy": 118.5, **keys})


PINHOLE = _model("PINHOLE", (300.0, 310.0, 163.0, 118.5), fl_y=310.0)
SIMPLE_PINHOLE = _model("SIMPLE_PINHOLE", (300.0, 163.0, 118.5))
SIMPLE_RADIAL = _model("SIMPLE_RADIAL", (300.0, 163.0, 118.5, -0.2), k1=-0.2)
RADIAL = _model("RADIAL", (300.0, 163.0, 118.5, 0.15, -0.05), k1=0.15, k2=-0.05)
OPENCV = _model(
    "OPENCV", (300.0, 310.0, 163.0, 118.5, 0.1, 0.05, 0.01, -0.02), fl_y=310.0, k1=0.1, k2=0.05, p1=0.01, p2=-0.02
)
FULL_OPENCV = _model(
    "FULL_OPENCV", (300.0, 300.0, 163.0, 118.5, -0.1, 0.02, 0.005, 0.0, 0.1, 0.0, 0.0, 0.0),
    k1=-0.1, k2=0.02, p1=0.005, k3=0.1,
)  # fmt: skip
OPENCV_FISHEYE = _model(
    "OPENCV_FISHEYE", (300.0, 300.0, 163.0, 118.5, 0.05, -0.02, 0.01, 0.0), k1=0.05, k2=-0.02, k3=0.01
)
FISHEYE = _model("FISHEYE", (300.0, 300.0, 163.0, 118.5))
STRAIGHT = [PINHOLE, SIMPLE_PINHOLE]
BENT = [SIMPLE_RADIAL, RADIAL, OPENCV, FULL_OPENCV, OPENCV_FISHEYE, FISHEYE]


def poses(count: int = 3) -> list[np.ndarray]:
    """(4, 4) world-to-camera matrices on an arc of radius 4, all looking at the origin."""
    found = []
    for angle in np.linspace(-0.3, 0.3, count):
        c, s = np.cos(angle), np.sin(angle)
        pose = np.eye(4)
        pose[:3, :3] = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
        pose[:3, 3] = [0.05, -0.02, 4.0]
        found.append(pose)
    return found


def paint(model: Model, viewmat: np.ndarray, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(H, W, 3) uint8: a soft white dot wherever the lens shows one of DOTS."""
    local = DOTS @ viewmat[:3, :3].T + viewmat[:3, 3]
    bent = bend(model, local[:, :2] / local[:, 2:])
    k = model.keys
    scale = np.array(size) / SIZE
    at = (bent * [k["fl_x"], k["fl_y"]] + [k["cx"], k["cy"]]) * scale
    y, x = np.mgrid[: size[1], : size[0]] + 0.5  # pixel centres
    image = sum(np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * 2.0**2)) for u, v in at)
    return np.repeat((255 * np.clip(image, 0, 1)).astype(np.uint8)[..., None], 3, 2)


def write_photos(folder: Path, model: Model, size: tuple[int, int] = SIZE, suffix: str = ".png") -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"view_{i}{suffix}" for i in range(len(poses()))]
    for name, pose in zip(names, poses(), strict=True):
        Image.fromarray(paint(model, pose, size)).save(folder / name)
    return names


def quaternion(R: np.ndarray) -> list[float]:
    """wxyz of a rotation by less than half a turn."""
    w = np.sqrt(1 + np.trace(R)) / 2
    return [w, *(np.array([R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]]) / (4 * w))]


def colmap_text(root: Path, model: Model, names: list[str], sparse: str = "sparse/0") -> Path:
    """A model in COLMAP's text form, photo names in falling order."""
    folder = root / sparse
    folder.mkdir(parents=True, exist_ok=True)
    params = " ".join(map(str, model.params))
    (folder / "cameras.txt").write_text(f"# cameras\n7 {model.name} {SIZE[0]} {SIZE[1]} {params}\n")
    lines = ["# images"]
    seen = " ".join(f"1.5 2.5 {i}" for i in range(1, len(DOTS) + 1))
    for i, (name, pose) in reversed(list(enumerate(zip(names, poses(), strict=True), 1))):
        lines += [" ".join(map(str, [i, *quaternion(pose[:3, :3]), *pose[:3, 3], 7, name])), seen]
    (folder / "images.txt").write_text("\n".join(lines) + "\n")
    tracks = [" ".join(f"{image} {i}" for image in range(1, len(names) + 1)) for i in range(len(DOTS))]
    points = [f"{i + 1} {x} {y} {z} 255 0 {i} 0.5 {tracks[i]}" for i, (x, y, z) in enumerate(DOTS)]
    (folder / "points3D.txt").write_text("# points\n" + "\n".join(points) + "\n")
    return folder


def transforms_json(root: Path, model: Model, names: list[str], **more) -> Path:
    """The same capture as nerfstudio or instant-ngp would state it: camera to world, y up, z backward."""
    frames = [
        {"file_path": name, "transform_matrix": (np.linalg.inv(pose) @ OPENGL).tolist()}
        for name, pose in zip(names, poses(), strict=True)
    ]
    data = {"w": SIZE[0], "h": SIZE[1], **model.keys, "frames": frames, **more}
    path = root / "transforms.json"
    path.write_text(json.dumps({key: value for key, value in data.items() if value is not None}))
    return path


def inria_json(root: Path, model: Model, names: list[str]) -> Path:
    """The same capture as INRIA's training code would state it."""
    entries = []
    for i, (name, pose) in enumerate(zip(names, poses(), strict=True)):
        back = np.linalg.inv(pose)
        entries.append(
            {"id": i, "img_name": name, "width": SIZE[0], "height": SIZE[1], "position": back[:3, 3].tolist()}
            | {"rotation": back[:3, :3].tolist(), "fx": model.keys["fl_x"], "fy": model.keys["fl_y"]}
        )
    path = root / "cameras.json"
    path.write_text(json.dumps(entries))
    return path


def dot_errors(photo: Photo) -> np.ndarray:
    """Distance in pixels between each dot's centroid in the photo and where the photo's camera says it is."""
    pixels = photo.load()[..., 0].double().numpy()
    expected = photo.camera.project(torch.from_numpy(DOTS).float())[0].double().numpy()
    errors = []
    for x, y in expected:
        x0, y0 = int(x) - 9, int(y) - 9
        assert min(x0, y0, pixels.shape[1] - 19 - x0, pixels.shape[0] - 19 - y0) >= 0, "dot out of sight"
        window = pixels[y0 : y0 + 19, x0 : x0 + 19]
        assert window.sum() > 2000, "no dot is where the camera says"
        rows, columns = np.mgrid[y0 : y0 + 19, x0 : x0 + 19] + 0.5
        centre = [(columns * window).sum() / window.sum(), (rows * window).sum() / window.sum()]
        errors.append(np.hypot(centre[0] - x, centre[1] - y))
    return np.array(errors)


def scene_of_dots(offset: float = 0.0) -> Gaussians:
    """Opaque Gaussians around the dots, moved along x."""
    means = torch.from_numpy(DOTS).float().repeat(20, 1)
    means = means + 0.05 * torch.randn(means.shape, generator=torch.Generator().manual_seed(0))
    means[:, 0] += offset
    count = len(means)
    quats = torch.tensor([1.0, 0, 0, 0]).repeat(count, 1)
    return Gaussians(
        means, quats, torch.full((count, 3), -3.0), torch.full((count,), 3.0), torch.zeros(count, 1, 3),
        torch.zeros(count, 0, 3),
    )  # fmt: skip
