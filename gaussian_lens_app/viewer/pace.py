"""How large a frame may be: native at rest, as large as the machine draws in time while the camera moves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StreamSettings:
    """What a viewer of the stream gets."""

    moving_fps: float = 15.0
    """Aimed at while the camera moves."""
    busy_fps: float = 8.0
    """Aimed at while a job takes its share of the machine."""
    smallest: int = 320
    """Long side below which a moving frame does not go, pixels."""
    rest_seconds: float = 0.12
    """Without news from the camera for so long, it rests."""
    moving_quality: int = 80
    """JPEG quality while moving."""
    rest_quality: int = 93
    """JPEG quality at rest."""


FIXED_SECONDS = 0.015
SECONDS_PER_PIXEL = 45e-9
"""Shape of the cost of a frame (100k Gaussians on two cores: 19 ms at 256x256, 30 at 512x512, 56 at 1024x1024); how
the machine and the scene at hand scale it is measured."""

STEPS = tuple(2 ** (-i / 4) for i in range(17))
"""Long side as a share of the native one: steps of 16% are small enough not to jump and large enough not to flicker."""


class Pace:
    """Chooses sizes from measured times."""

    def __init__(self, settings: StreamSettings | None = None):
        self.settings = settings or StreamSettings()
        self._scale = 1.0
        self._step = 0

    def measured(self, width: int, height: int, seconds: float) -> None:
        """Learn from a frame that was drawn and encoded."""
        scale = seconds / _cost(width, height)
        # Slower is believed faster than faster: a stutter is worse than a moment of softness.
        weight = 0.5 if scale > self._scale else 0.2
        self._scale += weight * (scale - self._scale)

    def predicted(self, width: int, height: int) -> float:
        """Seconds a frame of this size should take."""
        return self._scale * _cost(width, height)

    def moving_size(self, width: int, height: int, busy: bool) -> tuple[int, int]:
        """The largest step of the native size that is drawn in time; leaves the present step only for a clear gain."""
        wanted = 1 / (self.settings.busy_fps if busy else self.settings.moving_fps)
        steps = [size for size in (scaled(width, height, step) for step in STEPS) if self._allowed(size)]
        steps = steps or [(width, height)]
        now = min(self._step, len(steps) - 1)
        while now + 1 < len(steps) and self.predicted(*steps[now]) > wanted:
            now += 1
        while now > 0 and self.predicted(*steps[now - 1]) < 0.8 * wanted:
            now -= 1
        self._step = now
        return steps[now]

    def _allowed(self, size: tuple[int, int]) -> bool:
        return max(size) >= self.settings.smallest


def scaled(width: int, height: int, factor: float) -> tuple[int, int]:
    """The size times `factor`, at least one pixel."""
    return max(1, round(width * factor)), max(1, round(height * factor))


def _cost(width: int, height: int) -> float:
    return FIXED_SECONDS + SECONDS_PER_PIXEL * width * height
