"""The camera's way to a box and back."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np
import viser
from jaxtyping import Float

from gaussian_lens_app.viewer.outline import Target

SECONDS = 0.8
STEPS_PER_SECOND = 30
FILLED = 0.6
"""Share of the screen's shorter side that the box fills after the flight."""


@dataclass(frozen=True, eq=False)
class Pose:
    """Where a browser's camera is and what it looks at."""

    position: Float[np.ndarray, "3"]
    look_at: Float[np.ndarray, "3"]

    @staticmethod
    def of(camera: viser.CameraHandle) -> Pose:
        return Pose(np.array(camera.position), np.array(camera.look_at))


def close_up(target: Target, camera: viser.CameraHandle) -> Pose:
    """In front of the box, on the way from where the camera is now."""
    here = np.asarray(camera.position, dtype=float)
    direction = here - target.centre
    length = float(np.linalg.norm(direction))
    direction = -target.forward if length < 1e-9 else direction / length
    aspect = camera.image_width / max(camera.image_height, 1)
    half_fov = camera.fov / 2
    fits_height = target.height / (2 * np.tan(half_fov))
    fits_width = target.width / (2 * np.tan(half_fov) * aspect)
    return Pose(target.centre + direction * max(fits_height, fits_width) / FILLED, target.centre)


class Flights:
    """One flight at a time for each browser, and the pose to come back to."""

    def __init__(self) -> None:
        self._home: dict[int, Pose] = {}
        self._newest: dict[int, object] = {}

    @property
    def away(self) -> bool:
        """Whether a browser is at a box and can be flown back."""
        return bool(self._home)

    def to_box(self, client: viser.ClientHandle, target: Target) -> None:
        """Fly to the box; `back` returns to where the camera was."""
        self._home.setdefault(client.client_id, Pose.of(client.camera))
        self._start(client, close_up(target, client.camera))

    def back(self, client: viser.ClientHandle) -> bool:
        """Fly to where the camera was before the last flight; False when there was none."""
        home = self._home.pop(client.client_id, None)
        if home is None:
            return False
        self._start(client, home)
        return True

    def forget(self, client: viser.ClientHandle) -> None:
        """The browser is gone."""
        self._home.pop(client.client_id, None)
        self._newest.pop(client.client_id, None)

    def _start(self, client: viser.ClientHandle, goal: Pose) -> None:
        token = self._newest[client.client_id] = object()
        threading.Thread(target=self._fly, args=(client, goal, token), name="flight", daemon=True).start()

    def _fly(self, client: viser.ClientHandle, goal: Pose, token: object) -> None:
        start, steps = Pose.of(client.camera), round(SECONDS * STEPS_PER_SECOND)
        for step in range(1, steps + 1):
            if self._newest.get(client.client_id) is not token:
                return
            share = _smooth(step / steps)
            with client.atomic():
                client.camera.position = start.position + share * (goal.position - start.position)
                client.camera.look_at = start.look_at + share * (goal.look_at - start.look_at)
            client.flush()
            time.sleep(1 / STEPS_PER_SECOND)


def _smooth(share: float) -> float:
    """Starts and ends slowly."""
    return share * share * (3 - 2 * share)
