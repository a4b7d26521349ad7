"""`gsr-view`: a scene in the browser."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from tyro.conf import Positional

from gaussian_lens_app.commands.arguments import Device, OptionalPath
from gaussian_lens_app.commands.demo import DEMO_PHOTO, demo_folder


@dataclass(frozen=True)
class OpenViewer:
    """Open a Gaussian splat scene in the browser: box what you care about, and it becomes sharp.

    Without arguments it opens the demo. Add --traceback to see where an error came from.
    """

    scene: Positional[OptionalPath] = None
    """Scene file (PLY, compressed PLY, .splat, .spz, .sog, .ksplat, .glb or .gltf), or a project folder."""
    capture: OptionalPath = None
    """Folder with the scene's photos, as large as you have them, and their cameras: COLMAP, transforms.json or
    cameras.json. Boxes gain where these photos are larger than those the scene was made from."""
    device: Device = "auto"
    """Where to compute; auto takes an NVIDIA GPU where there is one (not yet run on a real one; cpu is tested)."""
    host: str = "127.0.0.1"
    """Address to listen on; the default is reachable from this machine alone."""
    port: int = 8080
    """Port to listen on; when it is taken, the next free one."""
    project: OptionalPath = None
    """Folder to save the work in as it goes on; without, one is made where the exports go at the first upgrade."""
    exports: OptionalPath = None
    """Folder for exports and films; without, the present one."""
    prior: str = "embedded"
    """2D prior of 3dsr and 3dsr-approx: `embedded`, a file of weights, a folder of a diffusers pipeline, a hub's id."""
    no_close_views: bool = False
    """Leave the splats as they are where the photos are larger than those they were made from; else nearly
    all are widened a little and veils taken away, so that views from nearby show no needles (Undo takes it back)."""
    no_open: bool = False
    """Do not open the browser, only print the address."""

    def run(self) -> None:
        scene, capture, first_photo = self.scene, self.capture, None
        if scene is None:
            demo = demo_folder()
            scene, capture, first_photo = demo / "scene.ply", capture or demo, DEMO_PHOTO
        print("Starting ...", file=sys.stderr, flush=True)
        from gaussian_lens_app.methods import use_prior
        from gaussian_lens_app.priors import PriorSource
        from gaussian_lens_app.viewer import view

        use_prior(PriorSource(self.prior))

        view(
            scene,
            capture,
            device=self.device,
            host=self.host,
            port=self.port,
            open_browser=has_screen() and not self.no_open,
            project=self.project,
            exports=self.exports,
            first_photo=first_photo,
            close_views=not self.no_close_views,
        )


def has_screen() -> bool:
    """Whether a browser can appear; without a screen `webbrowser` may start one in the terminal and wait for it."""
    if sys.platform.startswith("linux"):
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return True
