"""Frames from the viewer's server to a scripted browser: camera message in, encoded frame out.

The browser is a process of its own that flies around the scene at 50 camera messages a second, as viser's client does,
and counts what arrives; it decodes nothing while it counts. While "a job runs", a worker fits the scene to pictures,
forward and backward, as hard as it can.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import math
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import tyro

from gaussian_lens_app import formats
from gaussian_lens_app.raster import Rasterizer, for_device
from gaussian_lens_app.scene import SH_C0, Camera, Gaussians
from gaussian_lens_app.session import Session
from gaussian_lens_app.viewer import View
from gaussian_lens_app.viewer.pace import StreamSettings
from gaussian_lens_app.viewer.scripted import ScriptedBrowser

SHARED_SCENES = Path(__file__).parents[2] / "shared" / "benchmark" / "raster_scenes.py"


@dataclass(frozen=True)
class Settings:
    scene: Path | None = None
    """A scene file; without one the benchmark scene of `count` Gaussians."""
    count: int = 100_000
    """Gaussians of the benchmark scene."""
    device: str = "auto"
    seconds: float = 6.0
    """How long each row is measured."""
    width: int = 640
    height: int = 480
    rest_width: int = 1280
    rest_height: int = 800
    json: Path | None = None
    """Also write the figures here."""


@dataclass(frozen=True)
class Row:
    """What one browser got."""

    name: str
    frames_per_second: float
    width: float
    """Mean width of the moving frames, pixels."""
    worst_gap_ms: float
    """Longest time without a new frame."""
    rest_seconds: float
    """From the last camera message to the full-size frame, median of several stops."""


@dataclass(frozen=True)
class Orbit:
    """A path around the scene."""

    centre: tuple[float, float, float]
    radius: float
    height: float

    def position(self, seconds: float) -> np.ndarray:
        angle = 0.6 * math.sin(0.7 * seconds)
        offset = [self.radius * math.sin(angle), -self.height, -self.radius * math.cos(angle)]
        return np.asarray(self.centre) + np.asarray(offset)


def main(settings: Settings) -> None:
    """Print a table, and write it where asked."""
    scene, rasterizer = load_scene(settings), for_device(settings.device)
    scene = scene.to(rasterizer.device)
    orbit = orbit_of(scene) if settings.scene is not None else Orbit((0.0, 0.2, 0.0), 4.0, 1.4)
    size, rest = (settings.width, settings.height), (settings.rest_width, settings.rest_height)
    rows = [
        measure(f"{size[0]}x{size[1]}, no smaller", scene, rasterizer, orbit, size, False, settings),
        measure(f"{size[0]}x{size[1]}, no smaller, a job runs", scene, rasterizer, orbit, size, True, settings),
        measure(f"{rest[0]}x{rest[1]}, size follows", scene, rasterizer, orbit, rest, False, settings, 320),
        measure(f"{rest[0]}x{rest[1]}, size follows, a job runs", scene, rasterizer, orbit, rest, True, settings, 320),
    ]
    print(f"{len(scene):,} Gaussians, rasterizer {rasterizer.name}, {os.cpu_count()} cores")
    print("| view | frames/s | mean width | longest gap ms | rested after s |\n|---|---|---|---|---|")
    for row in rows:
        rate, width, gap, rested = row.frames_per_second, row.width, row.worst_gap_ms, row.rest_seconds
        print(f"| {row.name} | {rate:.1f} | {width:.0f} | {gap:.0f} | {rested:.2f} |")
    if settings.json is not None:
        settings.json.write_text(json.dumps({"count": len(scene), "rows": [asdict(row) for row in rows]}, indent=1))


def measure(
    name: str,
    scene: Gaussians,
    rasterizer: Rasterizer,
    orbit: Orbit,
    size: tuple[int, int],
    with_job: bool,
    settings: Settings,
    smallest: int | None = None,
) -> Row:
    """One row; frames are never smaller than `smallest` on their long side, by default never smaller than asked."""
    session = Session(scene, rasterizer=rasterizer, upgrade=hard_work(scene, orbit))
    viewer = View(session, port=0, stream=StreamSettings(smallest=smallest or max(size)))
    try:
        job = session.upgrade(None) if with_job else None  # pyright: ignore[reportArgumentType]
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            rate, width, gap, rested = pool.apply(fly, (viewer.url, size, orbit, settings.seconds))
        if job is not None:
            if job.state.finished:
                raise RuntimeError(f"The job ended early: {job.error}")
            job.cancel()
    finally:
        viewer.stop()
        session.close()
    return Row(name, rate, width, gap, rested)


def fly(url: str, size: tuple[int, int], orbit: Orbit, seconds: float) -> tuple[float, float, float, float]:
    """(frames a second, mean width, longest gap in ms, seconds to rest), as seen by the browser."""
    centre = np.asarray(orbit.centre)
    with ScriptedBrowser(url, *size) as browser:
        browser.look(orbit.position(0), centre)
        browser.last_frame()
        move(browser, orbit, centre, 3.0)  # lets the size settle
        frames = move(browser, orbit, centre, seconds)
        rested = [rest(browser, orbit, centre, size, turn) for turn in range(5)]
    times = [frame.at for frame in frames]
    gaps = [1000 * (b - a) for a, b in itertools.pairwise(times)]
    widths = [frame.size[0] for frame in frames[:: max(1, len(frames) // 10)]]
    return len(frames) / seconds, statistics.mean(widths), max(gaps), statistics.median(rested)


def move(browser: ScriptedBrowser, orbit: Orbit, centre: np.ndarray, seconds: float) -> list:
    """The frames that came while flying."""
    start, frames = time.perf_counter(), []
    while (now := time.perf_counter() - start) < seconds:
        browser.look(orbit.position(now), centre)
        end = start + now + 0.02
        while (left := end - time.perf_counter()) > 0:
            frame = browser.frame(left)
            if frame is not None:
                frames.append(frame)
    return frames


def rest(browser: ScriptedBrowser, orbit: Orbit, centre: np.ndarray, size: tuple[int, int], turn: int) -> float:
    """Seconds from the last camera message of a short flight to the last picture, which must be the full-size one."""
    move(browser, orbit, centre, 0.5 + 0.1 * turn)
    stopped = time.perf_counter()
    browser.look(orbit.position(1.0 + turn), centre)
    last = browser.last_frame(quiet=2.5)
    if last is None or last.size != size:
        raise RuntimeError("The full-size picture never came.")
    return last.at - stopped


def hard_work(scene: Gaussians, orbit: Orbit) -> Callable:
    """An `upgrade` that fits the scene to its own picture until it is cancelled."""

    def upgrade(request, report):
        camera = camera_at(orbit)
        rasterizer: Rasterizer = request.rasterizer
        target = rasterizer.render(scene, camera).rgb.detach()
        while True:
            leaves = scene.map(lambda tensor: tensor.detach().clone().requires_grad_())
            loss = (rasterizer.render(leaves, camera).rgb - 0.9 * target).abs().mean()
            loss.backward()
            report("Fitting", 0.5)

    return upgrade


def camera_at(orbit: Orbit, size: int = 512) -> Camera:
    """A camera at the start of the orbit."""
    position, centre = torch.from_numpy(orbit.position(0)).float(), torch.tensor(orbit.centre)
    forward = torch.nn.functional.normalize(centre - position, dim=0)
    right = torch.nn.functional.normalize(torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0]), forward), dim=0)
    R = torch.stack([right, torch.linalg.cross(forward, right), forward])
    viewmat = torch.eye(4)
    viewmat[:3, :3], viewmat[:3, 3] = R, -R @ position
    focal = 0.5 * size / math.tan(0.5)
    return Camera(viewmat, torch.tensor([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1.0]]), size, size)


def orbit_of(scene: Gaussians) -> Orbit:
    """Around the middle of a scene from outside its bulk."""
    means = scene.means[:: max(1, len(scene) // 100_000)].cpu()
    low, high = means.quantile(0.1, 0), means.quantile(0.9, 0)
    centre = ((low + high) / 2).tolist()
    return Orbit((centre[0], centre[1], centre[2]), float((high - low).norm()), 0.2 * float((high - low).norm()))


def load_scene(settings: Settings) -> Gaussians:
    """The file, or the benchmark's surfels, with colours as SH degree 0."""
    if settings.scene is not None:
        return formats.load(settings.scene).gaussians
    if not SHARED_SCENES.exists():
        raise SystemExit(f"{SHARED_SCENES} is not there: name a scene with --scene FILE.")
    spec = importlib.util.spec_from_file_location("raster_scenes", SHARED_SCENES)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.make_scene(settings.count)
    return Gaussians(
        means=made["means"],
        quats=made["quats"],
        log_scales=made["scales"].log(),
        logit_opacities=torch.logit(made["opacities"]),
        sh0=((made["colors"] - 0.5) / SH_C0)[:, None],
        shN=torch.zeros(len(made["means"]), 0, 3),
    )


if __name__ == "__main__":
    main(tyro.cli(Settings))
