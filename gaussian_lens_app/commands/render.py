"""`gsr render`: pictures of a scene from given cameras."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from gaussian_lens_app.commands.arguments import Device, OptionalPath, OptionalPixels, Output
from gaussian_lens_app.commands.device import ready_rasterizer
from gaussian_lens_app.commands.progress import Progress
from gaussian_lens_app.commands.reading import read_capture, read_scene
from gaussian_lens_app.errors import CaptureError

if TYPE_CHECKING:
    from gaussian_lens_app.scene import Camera


@dataclass(frozen=True)
class RenderViews:
    """Write pictures of a scene as PNG, one for each camera."""

    scene: Positional[Path]
    """Scene file: PLY, compressed PLY, .splat, .spz, .sog, .ksplat, .glb, .gltf, or a folder with a SOG's meta.json."""
    output: Output
    """Folder for the pictures."""
    capture: OptionalPath = None
    """Take the cameras of this capture's photos."""
    cameras: OptionalPath = None
    """Take the cameras of this file: transforms.json or cameras.json."""
    long_side: OptionalPixels = None
    """Longer side of the pictures in pixels; the default is the cameras' own."""
    mode: Literal["antialiased", "classic"] = "antialiased"
    """Whether opacity is compensated for the blur of the pixel filter."""
    device: Device = "auto"
    """Where to compute; auto takes an NVIDIA GPU where there is one (not yet run on a real one; cpu is tested)."""

    def run(self) -> None:
        from gaussian_lens_app.evaluation.views import render_views
        from gaussian_lens_app.raster import ANTIALIASED, CLASSIC

        cameras = self._cameras()
        rasterizer = ready_rasterizer(self.device)
        scene = read_scene(self.scene).gaussians.to(rasterizer.device)
        mode = ANTIALIASED if self.mode == "antialiased" else CLASSIC
        with Progress() as progress:
            paths = render_views(scene, cameras, rasterizer, self.output, mode, progress)
        print(f"{len(paths)} pictures in {self.output}")

    def _cameras(self) -> list[tuple[str, Camera]]:
        """(name, camera) for each picture."""
        from gaussian_lens_app import formats

        if self.capture is not None and self.cameras is None:
            cameras = [(photo.name, photo.camera) for photo in read_capture(self.capture).photos]
        elif self.cameras is not None and self.capture is None:
            cameras = formats.load_cameras(self.cameras)
        else:
            raise CaptureError("Say where the cameras come from: either --capture DIR or --cameras JSON.")
        if self.long_side is None:
            return cameras
        return [(name, camera.with_long_side(self.long_side)) for name, camera in cameras]
