"""`gsr-view`: a scene in the browser."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from tyro.conf import Positional

from gaussian_lens_app.commands.arguments import Device, OptionalPath
from gaussian_lens_app.commands.demo import demo_folder


@dataclass(frozen=True)
class OpenViewer:
    """Open a Gaussian splat scene in the browser: box what you care about, and it becomes sharp.

    Without arguments it opens the demo. Add --traceback to see where an error came from.
    """

    scene: Positional[OptionalPath] = None
    """Scene file (PLY)."""
    capture: OptionalPath = None
    """Folder with the photos the scene was made from and their cameras: COLMAP, transforms.json or cameras.json."""
    device: Device = "auto"
    """Where to compute; auto takes a GPU where there is one."""
    host: str = "127.0.0.1"
    """Address to listen on; the default is reachable from this machine alone."""
    port: int = 8080
    """Port to listen on; when it is taken, the next free one."""
    no_open: bool = False
    """Do not open the browser, only print the address."""

    def run(self) -> None:
        scene, capture = self.scene, self.capture
        if scene is None:
            demo = demo_folder()
            scene, capture = demo / "scene.ply", capture or demo
        print("Starting ...", file=sys.stderr, flush=True)
        from gaussian_lens_app.viewer import view

        view(
            scene,
            capture,
            device=self.device,
            host=self.host,
            port=self.port,
            open_browser=has_screen() and not self.no_open,
        )


def has_screen() -> bool:
    """Whether a browser can appear; without a screen `webbrowser` may start one in the terminal and wait for it."""
    if sys.platform.startswith("linux"):
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return True
