"""The viewer: a session, a server, a panel."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import numpy as np
import viser

from gaussian_lens_app.session import Previewed, SceneChanged, SelectionChanged, Session
from gaussian_lens_app.session.events import Event
from gaussian_lens_app.session.looks import Pose
from gaussian_lens_app.session.project import Project
from gaussian_lens_app.viewer.box_tool import BoxTool
from gaussian_lens_app.viewer.desk import Desk
from gaussian_lens_app.viewer.display import Display
from gaussian_lens_app.viewer.first_view import first_view, unit_of
from gaussian_lens_app.viewer.flight import Flights
from gaussian_lens_app.viewer.host import Host
from gaussian_lens_app.viewer.outline import hide_region
from gaussian_lens_app.viewer.pace import Pace, StreamSettings
from gaussian_lens_app.viewer.panel import Panel
from gaussian_lens_app.viewer.server import start_server, stop_server, url_of
from gaussian_lens_app.viewer.theme import break_long_words, place_panel, set_theme


def _home(session: Session, project: Project | None, first_photo: int) -> Pose:
    """The first view: the project's, else a photo's, else the whole scene's; with the project's up."""
    up = None if project is None else project.up
    if project is not None and project.home is not None:
        return project.home if up is None else dataclasses.replace(project.home, up=np.array(up))
    home = first_view(session.scene, session.capture, session.rasterizer, first_photo, up)
    if project is not None:
        project.set_home(home)
    return home


class View:
    """A session in the browser. It listens once made; `serve` waits, `stop` frees the port."""

    def __init__(
        self,
        session: Session,
        host: str = "127.0.0.1",
        port: int = 8080,
        stream: StreamSettings | None = None,
        *,
        project: Project | None = None,
        exports: Path | None = None,
        first_photo: int = 0,
    ):
        """`exports`: the folder that files go to, by default the present one."""
        self.session = session
        home = _home(session, project, first_photo)  # before the server, whose port nobody would free after an error
        self.server = start_server(host, port)
        self._stopped = threading.Event()
        unit = unit_of(home)
        self._set_first_view(home, unit)
        self.display = Display(session, float(np.linalg.norm(home.look_at - home.position)))
        self.host = Host(self.server, self.display, Pace(stream), lambda: session.busy, unit, self.display.has_finer)
        self.display.changed = self.host.rerender
        set_theme(self.server)
        place_panel(self.server)
        self.flights = Flights(unit, leaving=lambda: hide_region(self.server))
        self.box_tool = self._make_box_tool()
        self.desk = self._make_desk(home, project, exports or Path.cwd(), first_photo)
        self.panel = Panel(self.desk)
        break_long_words(self.server)
        self.server.on_client_connect(lambda _: self.panel.show_company())
        self.server.on_client_disconnect(self._left)
        self._unsubscribe = session.subscribe(self._on_event)

    def _make_box_tool(self) -> BoxTool:
        """The desk, which it asks, is made after it."""
        return BoxTool(
            self.server,
            self.session,
            self.host,
            changed=lambda: self.desk.refresh(),
            boxed=self._boxed,
            attempt=lambda action, client: self.desk.attempt(action, client),
        )

    def _make_desk(self, home: Pose, project: Project | None, exports: Path, first_photo: int) -> Desk:
        return Desk(
            self.server,
            self.session,
            self.display,
            self.host,
            self.flights,
            self.box_tool,
            home,
            exports.resolve(),
            project,
            () if project is None else project.bookmarks,
            first_photo,
        )

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

    def _boxed(self, client: viser.ClientHandle) -> None:
        """A new box: there is no way back from the old one, and marks would hide the tint."""
        self.flights.forget(client)
        if self.display.looks.missing:
            self.display.set(missing=False)

    def _left(self, client: viser.ClientHandle) -> None:
        if not self._stopped.is_set():
            self.panel.left(client)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, SceneChanged | SelectionChanged | Previewed):
            self.host.rerender()
        self.panel.on_event(event)

    def _set_first_view(self, home: Pose, unit: float) -> None:
        self.server.scene.set_up_direction(home.up)
        camera = self.server.initial_camera
        camera.position, camera.look_at, camera.fov = home.position / unit, home.look_at / unit, home.fov
