"""The camera's way to a box, a photo or a bookmark, and back."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable

import numpy as np
import viser

from gaussian_lens_app.scene import Camera
from gaussian_lens_app.session.looks import Pose
from gaussian_lens_app.viewer.outline import Target

SECONDS = 0.8
STEPS_PER_SECOND = 30
FILLED = 0.6
"""Share of the screen's shorter side that the box fills after the flight."""


def close_up(target: Target, here: Pose, aspect: float) -> Pose:
    """In front of the box, on the way from where the camera is now."""
    direction = here.position - target.centre
    length = float(np.linalg.norm(direction))
    direction = -target.forward if length < 1e-9 else direction / length
    fits_height = target.height / (2 * np.tan(here.fov / 2))
    fits_width = target.width / (2 * np.tan(here.fov / 2) * aspect)
    position = target.centre + direction * max(fits_height, fits_width) / FILLED
    return dataclasses.replace(here, position=position, look_at=target.centre)


def pose_of_camera(camera: Camera, distance: float) -> Pose:
    """A camera's view, turning around what is `distance` in front of it."""
    camera = camera.to("cpu")
    position, forward = camera.position.double().numpy(), camera.forward.double().numpy()
    fov = 2 * float(np.arctan(camera.height / (2 * float(camera.K[1, 1]))))
    return Pose(position, position + distance * forward, -camera.viewmat[1, :3].double().numpy(), fov)


class Flights:
    """One flight at a time for each browser, and the pose to come back to. Poses are in world units."""

    def __init__(self, unit: float = 1.0, leaving: Callable[[], None] = lambda: None) -> None:
        self.unit = unit
        """World units for one of the browser's."""
        self._leaving = leaving
        """Called when a browser that was at a box goes elsewhere, or is gone."""
        self._home: dict[int, Pose] = {}
        self._newest: dict[int, object] = {}
        self._gone: set[int] = set()
        self._lock = threading.Lock()

    def away(self, client_id: int) -> bool:
        """Whether that browser is at a box and can be flown back."""
        return client_id in self._home

    def pose(self, client: viser.ClientHandle) -> Pose:
        """Where a browser's camera is."""
        camera = client.camera
        position, look_at = (np.array(value, dtype=float) * self.unit for value in (camera.position, camera.look_at))
        return Pose(position, look_at, np.array(camera.up_direction, dtype=float), float(camera.fov))

    def to_box(self, client: viser.ClientHandle, target: Target) -> None:
        """Fly to the box; `back` returns to where the camera was."""
        here = self.pose(client)
        with self._lock:
            if client.client_id in self._gone:
                return
            self._home.setdefault(client.client_id, here)
        camera = client.camera
        self._start(client, close_up(target, here, camera.image_width / max(camera.image_height, 1)))

    def to(self, client: viser.ClientHandle, pose: Pose) -> None:
        """Fly to a view."""
        self._leave(client)
        self._start(client, pose)

    def back(self, client: viser.ClientHandle) -> bool:
        """Fly to where the camera was before the last flight; False when there was none."""
        home = self._leave(client)
        if home is None:
            return False
        self._start(client, home)
        return True

    def forget(self, client: viser.ClientHandle) -> None:
        """There is no way back for this browser any more, and no flight goes on."""
        self._leave(client)
        self._newest.pop(client.client_id, None)

    def left(self, client: viser.ClientHandle) -> None:
        """The browser is gone; whoever still holds it flies it nowhere."""
        with self._lock:
            self._gone.add(client.client_id)
            self.forget(client)

    def _leave(self, client: viser.ClientHandle) -> Pose | None:
        """Where that browser's camera was before it flew to a box; None where it is at none."""
        home = self._home.pop(client.client_id, None)
        if home is not None:
            self._leaving()
        return home

    def _start(self, client: viser.ClientHandle, goal: Pose) -> None:
        with self._lock:
            if client.client_id in self._gone:
                return
            token = self._newest[client.client_id] = object()
        threading.Thread(target=self._fly, args=(client, goal, token), name="flight", daemon=True).start()

    def _fly(self, client: viser.ClientHandle, goal: Pose, token: object) -> None:
        start, steps = self.pose(client), round(SECONDS * STEPS_PER_SECOND)
        for step in range(1, steps + 1):
            if self._newest.get(client.client_id) is not token:
                return
            self._set(client, start, goal, _smooth(step / steps))
            time.sleep(1 / STEPS_PER_SECOND)

    def _set(self, client: viser.ClientHandle, start: Pose, goal: Pose, share: float) -> None:
        def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            return a + share * (b - a)

        with client.atomic():
            if not np.allclose(start.up, goal.up):
                client.camera.up_direction = between(start.up, goal.up)
            client.camera.position = between(start.position, goal.position) / self.unit
            client.camera.look_at = between(start.look_at, goal.look_at) / self.unit
            if not np.isclose(start.fov, goal.fov):
                client.camera.fov = start.fov + share * (goal.fov - start.fov)
        client.flush()


def _smooth(share: float) -> float:
    """Starts and ends slowly."""
    return share * share * (3 - 2 * share)
