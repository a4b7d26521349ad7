"""Pictures and films of the scene by our own rasterizer, at any size."""

from __future__ import annotations

import io
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import torch
from jaxtyping import Float, UInt8

from gaussian_lens_app.errors import ExportError
from gaussian_lens_app.formats.atomic import make_room_for, write_atomically
from gaussian_lens_app.jobs.report import Report, silent
from gaussian_lens_app.scene import Camera
from gaussian_lens_app.session.looks import Looks, Pose
from gaussian_lens_app.session.memory import memory_errors_as_sentences

FPS = 24
LARGEST = 8192
"""Pixels a side."""
MOST_KEPT = 2_000_000_000
"""Bytes of pictures that a film may hold in memory at once; only .mp4 is written picture by picture."""
INSTALL = 'pip install "gaussian_lens_app[video]"'
FOR_MP4 = f"for .mp4: {INSTALL}"

Paint = Callable[[Camera, Looks, bool], torch.Tensor]


def camera_at(pose: Pose, width: int, height: int) -> Camera:
    """The pinhole camera of a view; its field of view is the vertical one."""
    forward = pose.look_at - pose.position
    forward = forward / np.linalg.norm(forward)
    right = np.cross(-pose.up, forward)
    right = right / np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    viewmat = np.eye(4)
    viewmat[:3, :3], viewmat[:3, 3] = R, -R @ pose.position
    focal = height / (2 * math.tan(pose.fov / 2))
    K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float32)
    return Camera(torch.from_numpy(viewmat).float(), K, width, height)


def as_bytes(rgb: torch.Tensor) -> UInt8[np.ndarray, "h w 3"]:
    """0..1 as 0..255."""
    return (rgb.clamp(0, 1) * 255 + 0.5).byte().cpu().numpy()


@memory_errors_as_sentences("the screenshot", "choose a smaller size")
def png(paint: Paint, camera: Camera, looks: Looks) -> bytes:
    """The picture of a camera as a PNG, without marks. ExportError when it is too large."""
    if not (0 < camera.width <= LARGEST and 0 < camera.height <= LARGEST):
        raise ExportError(f"A picture has 1 to {LARGEST} pixels a side, not {camera.width} x {camera.height}.")
    out = io.BytesIO()
    iio.imwrite(out, as_bytes(paint(camera, looks, False)), extension=".png")
    return out.getvalue()


def turntable(pose: Pose, frames: int) -> list[Pose]:
    """Once around what the view looks at, about its up, ending one step before the start."""
    axis = pose.up / np.linalg.norm(pose.up)
    arm = pose.position - pose.look_at
    return [
        Pose(pose.look_at + _turned(arm, axis, 2 * math.pi * i / frames), pose.look_at, pose.up, pose.fov)
        for i in range(frames)
    ]


def along(stops: Sequence[Pose], frames: int) -> list[Pose]:
    """A smooth way through views in order, starting at the first and ending at the last."""
    if len(stops) < 2:
        raise ExportError("A path needs two bookmarks: fly somewhere else and set another.")
    shares = np.linspace(0, len(stops) - 1, frames)
    return [
        Pose(
            _spline([stop.position for stop in stops], share),
            _spline([stop.look_at for stop in stops], share),
            _unit(_spline([stop.up for stop in stops], share)),
            float(_spline([np.array([stop.fov]) for stop in stops], share)[0]),
        )
        for share in shares
    ]


@memory_errors_as_sentences("the film", "choose a smaller size, or fewer seconds")
def write_video(
    path: Path,
    paint: Paint,
    poses: Sequence[Pose],
    size: tuple[int, int],
    looks: Looks,
    report: Report = silent,
    fps: int = FPS,
) -> Path:
    """The path of a film, once it stands there whole; a cancelled one leaves nothing.

    ExportError before a picture is drawn where its folder cannot be made or written to.
    """
    width, height = (side - side % 2 for side in size)  # what most players want
    if not (0 < width <= LARGEST and 0 < height <= LARGEST):
        raise ExportError(f"A film has 2 to {LARGEST} pixels a side, not {width} x {height}.")

    _refuse_too_long(path.suffix.lower(), len(poses) * width * height * 3)
    make_room_for(path)

    def frames() -> Iterator[np.ndarray]:
        for index, pose in enumerate(poses):
            report(f"Picture {index + 1} of {len(poses)}", 0.95 * index / len(poses))
            yield as_bytes(paint(camera_at(pose, width, height), looks, False))

    data = _encoded(path.suffix.lower(), frames(), (width, height), fps)
    report("Writing", 0.97)
    with write_atomically(path) as file:
        file.write(data)
    return path


def _refuse_too_long(suffix: str, size: int) -> None:
    """ExportError for a film of so many bytes that would be kept whole in memory, before a picture is drawn."""
    if suffix == ".mp4" or size <= MOST_KEPT:
        return
    how = "" if ".mp4" in video_suffixes() else f" (after {INSTALL})"
    raise ExportError(
        f"As {suffix} this film would take {size / 1e9:.1f} GB of memory: choose .mp4{how}, "
        "or make it shorter or smaller."
    )


def video_suffixes() -> tuple[str, ...]:
    """The kinds of film that can be written here, the best first."""
    return ((".mp4",) if find_spec("imageio_ffmpeg") else ()) + (".webp", ".gif")


def _encoded(suffix: str, frames: Iterator[np.ndarray], size: tuple[int, int], fps: int) -> bytes:
    if suffix not in video_suffixes():
        more = "" if suffix != ".mp4" else f" ({FOR_MP4})"
        raise ExportError(f"Films can be written as {', '.join(video_suffixes())}{more}.")
    if suffix == ".mp4":
        return _as_mp4(frames, size, fps)
    out = io.BytesIO()
    how: dict[str, Any] = {"quality": 90, "method": 2} if suffix == ".webp" else {}
    iio.imwrite(out, list(frames), extension=suffix, plugin="pillow", duration=round(1000 / fps), loop=0, **how)
    return out.getvalue()


def _as_mp4(frames: Iterator[np.ndarray], size: tuple[int, int], fps: int) -> bytes:
    """H.264, one picture at a time; even sides are all it asks for (imageio's own writer stretches to sixteens)."""
    from imageio_ffmpeg import write_frames  # pyright: ignore[reportMissingImports]  the extra `video`

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        writer = write_frames(str(path), size, fps=fps, quality=8, macro_block_size=2, ffmpeg_log_level="error")
        writer.send(None)
        try:
            for frame in frames:
                writer.send(np.ascontiguousarray(frame))
        finally:
            writer.close()
        return path.read_bytes()


def _turned(v: Float[np.ndarray, "3"], axis: Float[np.ndarray, "3"], angle: float) -> Float[np.ndarray, "3"]:
    """Rodrigues' rotation."""
    c, s = math.cos(angle), math.sin(angle)
    return v * c + np.cross(axis, v) * s + axis * (axis @ v) * (1 - c)


def _spline(points: Sequence[np.ndarray], at: float) -> np.ndarray:
    """Catmull-Rom through the points, ends doubled; `at` counts points."""
    i = min(int(at), len(points) - 2)
    t = at - i
    p = [np.asarray(points[min(max(k, 0), len(points) - 1)], dtype=float) for k in range(i - 1, i + 3)]
    return 0.5 * (
        2 * p[1] + (p[2] - p[0]) * t + (2 * p[0] - 5 * p[1] + 4 * p[2] - p[3]) * t**2
        + (3 * p[1] - p[0] - 3 * p[2] + p[3]) * t**3
    )  # fmt: skip


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v)
