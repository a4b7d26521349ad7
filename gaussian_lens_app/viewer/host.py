"""Frames from the server to the browser: nerfview 0.1.3 with its thread, its panel and its exits replaced.

Kept from nerfview: one thread a browser, `submit` that keeps only the newest request and raises an event, and the pose
of a client as a `CameraState`. Replaced: `Renderer.run` (it interrupted
through sys.settrace, ended the process on an error and sent JPEG 40 and 70), the connect callbacks, the rendering tab
(a 2048 pixel cap and a panel that writes to any path), and `rerender`.
"""

from __future__ import annotations

import dataclasses
import logging
import time
import warnings
from collections.abc import Callable

import numpy as np
import viser
from jaxtyping import UInt8
from nerfview import CameraState, RenderTabState, Viewer
from nerfview._renderer import Renderer, RenderTask

from gaussian_lens_app.viewer.pace import Pace
from gaussian_lens_app.viewer.words import error_line

log = logging.getLogger(__name__)

LARGEST = 8192
"""Pixels a side that are drawn, whatever size a browser says it has: its word must not fill the memory."""
IDLE_SECONDS = 0.5
"""How often a resting thread looks whether its browser is still there."""
LONGEST_BEFORE_FINEST = 0.4
"""Seconds: where a picture at rest takes longer, no finer one follows it."""


@dataclasses.dataclass
class ClientView(CameraState):
    """A browser's camera and the size of its canvas in device pixels."""

    width: int = 0
    height: int = 0
    moving: bool = False
    """Whether it moves, so that the picture should come soon rather than be exact."""
    finest: bool = False
    """Whether there is time to draw it as well as can be."""


Draw = Callable[[ClientView, tuple[int, int]], UInt8[np.ndarray, "h w 3"]]
"""Draws a view at a size (width, height)."""


class Host(Viewer):
    """Streams what `draw` draws to every connected browser."""

    def __init__(
        self,
        server: viser.ViserServer,
        draw: Draw,
        pace: Pace,
        busy: Callable[[], bool],
        unit: float = 1.0,
        has_finer: Callable[[ClientView], bool] = lambda view: False,
    ):
        """`unit`: world units for one of the browser's, whose keys fly at a fixed speed. `has_finer`: whether a view
        at rest can be drawn better in more time."""
        self.pace, self.busy, self.unit, self.has_finer = pace, busy, unit, has_finer
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # nerfview sets a theme viser has moved on from
            super().__init__(server, draw)

    def _init_rendering_tab(self) -> None:
        self.render_tab_state = RenderTabState()

    def _populate_rendering_tab(self) -> None:
        """Nothing: the panel is ours."""

    def rerender(self, _=None) -> None:
        """Draw anew for every browser, because the scene or how it is shown has changed."""
        for client_id, client in self.server.get_clients().items():
            renderer = self._renderers.get(client_id)
            if renderer is not None:
                renderer.submit(RenderTask("rerender", self.get_camera_state(client)))

    def _connect_client(self, client: viser.ClientHandle) -> None:
        renderer = FrameThread(viewer=self, client=client, lock=self.lock)
        self._renderers[client.client_id] = renderer
        renderer.submit(RenderTask("move", self.get_camera_state(client)))
        renderer.start()

        @client.camera.on_update
        def _(_: viser.CameraHandle) -> None:
            renderer.submit(RenderTask("move", self.get_camera_state(client)))

    def _disconnect_client(self, client: viser.ClientHandle) -> None:
        renderer = self._renderers.pop(client.client_id, None)
        if renderer is not None:
            renderer.running = False

    def get_camera_state(self, client: viser.ClientHandle) -> ClientView:
        state = super().get_camera_state(client)
        width, height = (min(max(1, side), LARGEST) for side in (client.camera.image_width, client.camera.image_height))
        c2w = state.c2w.copy()
        c2w[:3, 3] *= self.unit
        return ClientView(state.fov, width / height, c2w, width, height)

    @property
    def at_rest(self) -> bool:
        """Whether every browser was sent the picture of all that was asked for."""
        threads = list(self._renderers.values())
        return all(thread.at_rest for thread in threads if isinstance(thread, FrameThread))

    def stop(self) -> None:
        """End the drawing threads."""
        for renderer in list(self._renderers.values()):
            renderer.running = False
            renderer.join(timeout=2)


class FrameThread(Renderer):
    """Draws for one browser: the newest request, small while the camera moves, native once it rests."""

    viewer: Host
    _drawing = False

    @property
    def at_rest(self) -> bool:
        """Whether nothing is drawn, nor asked for, nor follows because the camera has come to rest."""
        return self._state == "high" and not self._render_event.is_set() and not self._drawing

    def run(self) -> None:
        self._failure = ""
        while self.running:
            task = self._next_task()
            if task is not None:
                self._serve(task)
            self._drawing = False

    def _next_task(self) -> RenderTask | None:
        """The newest request; when none comes for a moment, a rest frame if the last one was not that already."""
        resting = self._state == "high"
        if self._render_event.wait(IDLE_SECONDS if resting else self.viewer.pace.settings.rest_seconds):
            self._drawing = True  # before the request is forgotten
            self._render_event.clear()
            return self._task
        self._drawing = not resting
        return None if resting else RenderTask("static", self.viewer.get_camera_state(self.client))

    def _serve(self, task: RenderTask) -> None:
        at_rest = task.action == "static" or (task.action == "rerender" and self._state == "high")
        self._state = "high" if at_rest else "low_move"
        assert isinstance(task.camera_state, ClientView)
        try:
            sent = self._draw_and_send(task.camera_state, at_rest)
            if sent and at_rest and self._has_time_for_more(task.camera_state):
                self._draw_and_send(dataclasses.replace(task.camera_state, finest=True), at_rest)
        except Exception as error:
            self._tell(error)
            return
        self._failure = "" if sent else self._failure

    def _has_time_for_more(self, view: ClientView) -> bool:
        """Whether a finer picture is worth drawing: the camera, which may start any moment, then waits for it."""
        soon = self.viewer.pace.predicted(view.width, view.height) < LONGEST_BEFORE_FINEST
        return soon and not self.viewer.busy() and not self._stale(at_rest=True) and self.viewer.has_finer(view)

    def _draw_and_send(self, view: ClientView, at_rest: bool) -> bool:
        """False when a newer request made the frame stale on the way."""
        settings, pace = self.viewer.pace.settings, self.viewer.pace
        width, height = view.width, view.height
        with self.lock:
            if self._stale(at_rest):
                return False
            if not at_rest:
                width, height = pace.moving_size(width, height, self.viewer.busy())
            start = time.perf_counter()
            image = self.viewer.render_fn(dataclasses.replace(view, moving=not at_rest), (width, height))
        if self._stale(at_rest):
            return False
        quality = settings.rest_quality if at_rest else settings.moving_quality
        self.client.scene.set_background_image(image, format="jpeg", jpeg_quality=quality)
        self.client.flush()
        if not view.finest:
            pace.measured(width, height, time.perf_counter() - start)
        return True

    def _stale(self, at_rest: bool) -> bool:
        """Whether drawing on would be for nothing; a moving frame is small and always worth sending."""
        return not self.running or (at_rest and self._render_event.is_set())

    def _tell(self, error: Exception) -> None:
        """Show the error in the browser, once for as long as it lasts; drawing goes on with the next request."""
        sentence = error_line(error)
        if sentence == self._failure or not self.running:
            return
        self._failure = sentence
        log.error("drawing failed", exc_info=error)
        self.client.add_notification("The picture could not be drawn", sentence, color="red")
