"""What an upgrade method is: a task in, a patch out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Protocol

import torch

from gaussian_lens_app.errors import MethodError
from gaussian_lens_app.jobs.report import Report
from gaussian_lens_app.raster import ANTIALIASED, Rasterizer, RenderMode
from gaussian_lens_app.scene import Box, Capture, Gaussians, Patch, Photo, PhotoView, Region


class Needs(Enum):
    """What must be at hand before a method can run."""

    NOTHING = "nothing but the scene"
    PHOTOS = "photos with cameras"


def unseen(patch: Patch) -> None:
    """A preview for callers that do not watch."""


class Scope(Enum):
    """What a method can work on."""

    REGION = "a box"
    SCENE = "the whole scene"


GPU_SPEED = 8.0
"""Times two CPU cores."""
ENOUGH = 15.0
"""Seconds of two CPU cores; a box hardly gains from more, and fits overfit."""


@dataclass(frozen=True)
class Budget:
    """How much an upgrade may cost."""

    seconds: float = 10.0
    """Wall-clock seconds for the method itself, selection and judging apart. On two CPU cores small print in a box of
    150 pixels is legible after ten, its shapes are after four."""
    gaussians: int = 60_000
    """At most so many Gaussians are added."""

    def __post_init__(self) -> None:
        """Raises MethodError for no time at all."""
        if not self.seconds > 0:
            raise MethodError(f"An upgrade cannot be made in {self.seconds:g} s: give it more.")

    def worth_on(self, device: torch.device) -> Budget:
        """The budget in seconds of two CPU cores, by which steps and counts are chosen; clocks go by the real one.

        A GPU is taken to do a second's work in an eighth of one, until that is measured. It is not asked for more than
        ENOUGH because of that.
        """
        seconds = self.seconds
        if device.type != "cpu":
            seconds = max(seconds, min(GPU_SPEED * seconds, ENOUGH))
        return dataclasses.replace(self, seconds=seconds)

    @staticmethod
    def for_scene(scene: Gaussians) -> Budget:
        """For a whole scene: twenty minutes, as the slowest method may take on two CPU cores, and six for each one."""
        return Budget(seconds=1200.0, gaussians=6 * len(scene))


@dataclass(frozen=True, eq=False)
class Glimpse:
    """A photo kept out, for judging or for stopping a fit, as small as the photos that the scene was made from.

    The scene was fitted to all its photos at that size, to this one too. A fit that leaves it out forgets what it
    said, and is worse there than the scene it started from for no fault of its detail.
    """

    photo: Photo
    """Small: what it shows beyond the scene stays unseen."""
    view: PhotoView
    """How it sees the region, in the small photo's pixels; its index means nothing."""


@dataclass(frozen=True, eq=False)
class Task:
    """Everything a method may look at. Photos kept for the judge are not in `capture`."""

    scene: Gaussians
    region: Region
    """Its views index `capture.photos`."""
    rasterizer: Rasterizer
    capture: Capture | None = None
    box: Box | None = None
    """None for a whole-scene upgrade."""
    mode: RenderMode = ANTIALIASED
    """The render mode the result will be looked at in."""
    budget: Budget = Budget()
    seed: int = 0
    glimpses: tuple[Glimpse, ...] = ()
    """Of the photos kept for the judge."""
    preview: Callable[[Patch], None] = unseen
    """Called with the patch so far when a piece of long work (a tile, a round) is finished; whoever watches sees it."""


class Method(Protocol):
    """One way to upgrade; stateless, so one instance serves all jobs.

    Those that take as long as the budget says have `paced = True`; others take what they take.
    """

    name: ClassVar[str]
    """Command-line name, as `--method` takes it."""
    label: ClassVar[str]
    """What the menu shows."""
    summary: ClassVar[str]
    """One line for the menu's hint."""
    needs: ClassVar[Needs]
    scopes: ClassVar[tuple[Scope, ...]]

    def __call__(self, task: Task, report: Report) -> Patch:
        """The edit to make. Raises MethodError with a sentence when it cannot; never changes the task."""
        ...
