"""The viewer: a session, a server, a panel."""

from __future__ import annotations

import contextlib
import sys
import threading
import webbrowser
from pathlib import Path

from gaussian_lens_app.raster import for_device
from gaussian_lens_app.raster.warmup import warm_up
from gaussian_lens_app.session import SceneChanged, SelectionChanged, Session, open_session
from gaussian_lens_app.session.events import Event
from gaussian_lens_app.viewer.box_tool import BoxTool
from gaussian_lens_app.viewer.display import Display
from gaussian_lens_app.viewer.first_view import first_view
from gaussian_lens_app.viewer.flight import Flights
from gaussian_lens_app.viewer.host import Host
from gaussian_lens_app.viewer.pace import Pace, StreamSettings
from gaussian_lens_app.viewer.panel import Panel
from gaussian_lens_app.viewer.server import start_server, stop_server, url_of

BRAND = (255, 176, 32)
PANEL_WIDTH = 340
"""Pixels: wide enough for every label, narrow enough for the picture."""


def view(
    scene: Path,
    capture: Path | None = None,
    *,
    device: str = "auto",
    host: str = "127.0.0.1",
    port: int = 8080,
    open_browser: bool = True,
) -> None:
    """Open a scene in the browser and serve it until interrupted; prints where, in one line, when it is ready."""
    _warm_up(device)
    session = open_session(scene, capture, device)
    try:
        viewer = View(session, host, port)
    except BaseException:
        session.close()
        raise
    try:
        if port not in (0, viewer.port):
            _aside(f"Port {port} is taken; this is on the next free one.")
        print(f"Ready: {viewer.url}", flush=True)
        if open_browser:
            webbrowser.open(viewer.url)
        viewer.serve()
    finally:
        viewer.stop()
        session.close()


def _warm_up(device: str) -> None:
    """Compile in the background while the files are read; says so where it takes long."""

    def work() -> None:
        # What goes wrong here goes wrong again, and is told, at the first picture; unless the program is ending.
        with contextlib.suppress(Exception):
            warm_up(_aside)

    if for_device(device).name == "cpu":
        threading.Thread(target=work, name="warm-up", daemon=True).start()


def _aside(line: str) -> None:
    """Beside the one line on standard output that other programs may read."""
    print(line, file=sys.stderr, flush=True)


class View:
    """A session in the browser. It listens once made; `serve` waits, `stop` frees the port."""

    def __init__(
        self, session: Session, host: str = "127.0.0.1", port: int = 8080, stream: StreamSettings | None = None
    ):
        self.session = session
        self.server = start_server(host, port)
        self._stopped = threading.Event()
        self._set_scene_up()
        self.display = Display(session)
        self.host = Host(self.server, self.display, Pace(stream), lambda: session.busy)
        self.display.changed = self.host.rerender
        self._set_theme()
        self.flights = Flights()
        self.box_tool = BoxTool(
            self.server, session, self.host, changed=lambda: self.panel.refresh(), boxed=self.flights.forget
        )
        self.panel = Panel(self.server, session, self.display, self.box_tool, self.flights)
        self.server.on_client_disconnect(self.flights.forget)
        self._unsubscribe = session.subscribe(self._on_event)

    @property
    def url(self) -> str:
        return url_of(self.server)

    @property
    def port(self) -> int:
        return self.server.get_port()

    def serve(self) -> None:
        """Wait until `stop` or an interrupt."""
        while not self._stopped.wait(0.5):
            pass

    def stop(self) -> None:
        """Disconnect the browsers, end the threads, free the port. The session lives on."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self._unsubscribe()
        self.host.stop()
        stop_server(self.server)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, SceneChanged | SelectionChanged):
            self.host.rerender()
        self.panel.on_event(event)

    def _set_scene_up(self) -> None:
        start = first_view(self.session.scene, self.session.capture, self.session.rasterizer)
        self.server.scene.set_up_direction(start.up)
        camera = self.server.initial_camera
        camera.position, camera.look_at, camera.fov = start.position, start.look_at, start.fov

    def _set_theme(self) -> None:
        gui = self.server.gui
        gui.configure_theme(dark_mode=True, show_logo=False, show_share_button=False, brand_color=BRAND)
        gui.set_panel_label("Gaussian lens")
        gui.main_panel.dock_right()
        gui.main_panel.set_width(PANEL_WIDTH)
