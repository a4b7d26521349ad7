"""Small scenes with photos, made here: a textured board in front of a wall, sharp as `truth`, blurred as `scene`."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import torch

from gaussian_lens_app.raster import ANTIALIASED, Rasterizer
from gaussian_lens_app.raster.compare import squared_errors
from gaussian_lens_app.scene import SH_C0, Camera, Capture, Gaussians, Photo, Rect

BOARD = (3.0, 2.0)
"""Width and height of the board, centred at the origin in the plane z = 0; y points down."""


@dataclass(frozen=True, eq=False)
class Board:
    """A scene, the same scene as it should look, and photos of the latter."""

    scene: Gaussians
    truth: Gaussians
    capture: Capture


def board(rasterizer: Rasterizer, *, fine: int = 48, coarse: int = 16, photos: int = 6, width: int = 240) -> Board:
    """The board with `fine` Gaussians across, blurred to `coarse` across, photographed from an arc."""
    truth = Gaussians.concat([_sheet(fine, BOARD, 0.0), _wall()])
    scene = Gaussians.concat([_sheet(coarse, BOARD, 0.0), _wall()])
    cameras = [camera_at(angle, width=width) for angle in torch.linspace(-0.35, 0.35, photos).tolist()]
    with torch.no_grad():
        pictures = [rasterizer.render(truth, camera).rgb for camera in cameras]
    taken = tuple(
        Photo(f"photo_{i:02d}.png", camera, (picture.clamp(0, 1) * 255 + 0.5).to(torch.uint8))
        for i, (camera, picture) in enumerate(zip(cameras, pictures, strict=True))
    )
    return Board(scene, truth, Capture(taken))


def write_capture(capture: Capture, folder: Path) -> None:
    """Put photos and a transforms.json (OpenGL axes) into a new folder."""
    (folder / "images").mkdir(parents=True)
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    frames = []
    for photo in capture.photos:
        iio.imwrite(folder / "images" / photo.name, photo.load().numpy())
        pose = photo.camera.camtoworld @ flip
        frames.append({"file_path": f"images/{photo.name}", "transform_matrix": pose.tolist()})
    camera = capture.photos[0].camera
    intrinsics = {
        "camera_model": "PINHOLE", "fl_x": camera.K[0, 0].item(), "fl_y": camera.K[1, 1].item(),
        "cx": camera.K[0, 2].item(), "cy": camera.K[1, 2].item(), "w": camera.width, "h": camera.height,
    }  # fmt: skip
    (folder / "transforms.json").write_text(json.dumps({**intrinsics, "frames": frames}))


def camera_at(angle: float, distance: float = 3.5, width: int = 240, height: int | None = None) -> Camera:
    """A camera on an arc around the origin, `angle` radians to the side, looking at it upright."""
    height = height or round(width * 0.75)
    position = torch.tensor([math.sin(angle), 0.0, -math.cos(angle)]) * distance
    forward = -position / position.norm()
    down = torch.tensor([0.0, 1.0, 0.0])
    right = torch.linalg.cross(down, forward)
    R = torch.stack([right / right.norm(), torch.linalg.cross(forward, right / right.norm()), forward])
    viewmat = torch.eye(4)
    viewmat[:3, :3], viewmat[:3, 3] = R, -R @ position
    focal = width / (2 * math.tan(math.radians(30)))
    K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
    return Camera(viewmat, K, width, height)


def window_psnr_gain(before: Gaussians, after: Gaussians, photo: Photo, rect: Rect, rasterizer: Rasterizer) -> float:
    """PSNR after minus before in a window of a photo, dB."""
    truth = photo.crop(rect)
    errors = [squared_errors(scene, photo.camera, rect, truth, rasterizer, ANTIALIASED) for scene in (before, after)]
    return 10 * math.log10(float(errors[0].mean()) / float(errors[1].mean()))


def texture(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Colour in 0..1 at board positions: a checkerboard, rings and bars, each in its own third."""
    checks = ((x * 6).floor() + (y * 6).floor()) % 2
    rings = 0.5 + 0.5 * torch.sin(20 * torch.hypot(x, y))
    bars = 0.5 + 0.5 * torch.sign(torch.sin(16 * x))
    third = BOARD[0] / 6
    pattern = torch.where(x < -third, checks, torch.where(x > third, bars, rings))
    warm, cool = torch.tensor([0.95, 0.85, 0.55]), torch.tensor([0.1, 0.25, 0.45])
    return pattern[..., None] * warm + (1 - pattern[..., None]) * cool


def _sheet(across: int, size: tuple[float, float], z: float) -> Gaussians:
    """A grid of flat Gaussians that carry the texture, averaged over each one's cell."""
    down = round(across * size[1] / size[0])
    cell = size[0] / across
    x = (torch.arange(across) + 0.5) * cell - size[0] / 2
    y = (torch.arange(down) + 0.5) * cell - size[1] / 2
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    offsets = (torch.arange(4) + 0.5) / 4 * cell - cell / 2
    colors = torch.stack([texture(grid_x + dx, grid_y + dy) for dx in offsets for dy in offsets]).mean(0)
    means = torch.stack([grid_x, grid_y, torch.full_like(grid_x, z)], -1).reshape(-1, 3)
    return _gaussians(means, colors.reshape(-1, 3), torch.tensor([0.55 * cell, 0.55 * cell, 0.01]), 0.95)


def _wall() -> Gaussians:
    """A plain grey-green wall one unit behind the board."""
    y, x = torch.meshgrid(torch.linspace(-3, 3, 13), torch.linspace(-4, 4, 17), indexing="ij")
    means = torch.stack([x, y, torch.ones_like(x)], -1).reshape(-1, 3)
    return _gaussians(
        means, torch.tensor([0.35, 0.42, 0.38]).expand(len(means), 3), torch.tensor([0.3, 0.3, 0.02]), 0.9
    )


def _gaussians(means: torch.Tensor, colors: torch.Tensor, scales: torch.Tensor, opacity: float) -> Gaussians:
    n = len(means)
    quats = torch.zeros(n, 4)
    quats[:, 0] = 1
    logit = math.log(opacity / (1 - opacity))
    sh0 = ((colors - 0.5) / SH_C0)[:, None]
    return Gaussians(
        means, quats, scales.log().expand(n, 3).clone(), torch.full((n,), logit), sh0, torch.zeros(n, 0, 3)
    )
