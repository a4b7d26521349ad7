"""Dragging a box: with Shift at any time, or with a plain drag after asking for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import viser
from viser import SceneRectSelectEvent

from gaussian_lens_app.scene import Box
from gaussian_lens_app.session import Combine, Session
from gaussian_lens_app.viewer.display import camera_of
from gaussian_lens_app.viewer.host import Host
from gaussian_lens_app.viewer.outline import Target, hide_outline, hide_region, hide_suggestions, locate, show_outline

SMALLEST = 8
"""A box with a shorter side is a click that slipped, pixels."""


@dataclass(frozen=True)
class PickOptions:
    """What the next box means."""

    how: Combine = Combine.NEW
    through: bool = False
    depth: float | None = None


class BoxTool:
    """Turns rectangles on the screen into the session's selection, and keeps the box in sight."""

    def __init__(
        self,
        server: viser.ViserServer,
        session: Session,
        host: Host,
        changed: Callable[[], None],
        boxed: Callable[[viser.ClientHandle], None],
        attempt: Callable[[Callable[[], object], viser.ClientHandle | None], None],
    ):
        """`changed()` hears of the tool being armed or not, `boxed(browser)` of every new box; `attempt(action,
        browser)` does something and tells that browser what went wrong."""
        self.server, self.session, self.host, self._changed, self._boxed = server, session, host, changed, boxed
        self._attempt = attempt
        self.armed = False
        self.options = PickOptions()
        self.target: Target | None = None
        self.client: viser.ClientHandle | None = None
        """The browser that dragged the box or flew to it last; None once that one is gone."""
        self._lock = threading.Lock()
        server.scene.on_rect_select(modifier="shift")(self._dragged)

    def toggle(self) -> None:
        """The next plain drag is a box; asking twice is asking for nothing."""
        with self._lock:
            self._arm(not self.armed)
        self._changed()

    def clear(self) -> None:
        """No box any more."""
        with self._lock:
            self._arm(False)
            self.target = None
            hide_outline(self.server)
            hide_region(self.server)
        self.session.clear_selection()

    def left(self, client: viser.ClientHandle) -> None:
        """The browser is gone; its box stays."""
        if self.client is not None and self.client.client_id == client.client_id:
            self.client = None

    def take(self, box: Box, client: viser.ClientHandle | None) -> None:
        """Select what is in the box, as if it had been dragged."""
        self._attempt(lambda: self._take(box, client), client)

    def _take(self, box: Box, client: viser.ClientHandle | None) -> None:
        self.client = client or self.client
        if client is not None:
            self._boxed(client)
        hide_suggestions(self.server)
        hide_region(self.server)
        self.target = locate(self.session.scene, box, self.session.rasterizer, self.session.mode)
        if self.target is None:
            hide_outline(self.server)
        else:
            show_outline(self.server, self.target, self.host.unit)
        options = self.options
        self.session.select(box, options.through, options.how, options.depth)

    def _arm(self, on: bool) -> None:
        if on and not self.armed:
            self.server.scene.on_rect_select()(self._plain_drag)
        elif self.armed and not on:
            self.server.scene.remove_rect_select_callback(self._plain_drag)
        self.armed = on

    def _plain_drag(self, event: SceneRectSelectEvent) -> None:
        self._dragged(event)

    def _dragged(self, event: SceneRectSelectEvent) -> None:
        box = self._box(event)
        with self._lock:
            self._arm(False)
        self._changed()
        if box is None:
            event.client.add_notification(
                "That box is too small", "Drag from one corner to the other.", auto_close_seconds=4
            )
            return
        self.take(box, event.client)

    def _box(self, event: SceneRectSelectEvent) -> Box | None:
        """The box in whole pixels of the browser's canvas; None when it is too small."""
        view = self.host.get_camera_state(event.client)
        x0, x1 = (round(min(max(x, 0.0), 1.0) * view.width) for x in (event.screen_min[0], event.screen_max[0]))
        y0, y1 = (round(min(max(y, 0.0), 1.0) * view.height) for y in (event.screen_min[1], event.screen_max[1]))
        if min(x1 - x0, y1 - y0) < SMALLEST:
            return None
        return Box(camera_of(view, (view.width, view.height)), (x0, y0, x1, y1))
