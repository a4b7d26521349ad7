"""What a session tells its listeners, always as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from gaussian_lens_app.errors import GsrError
from gaussian_lens_app.jobs import Job, JobStatus
from gaussian_lens_app.scene import Box, Gaussians, Region
from gaussian_lens_app.session.history import Edit

if TYPE_CHECKING:
    from gaussian_lens_app.session.arrangement import Step
    from gaussian_lens_app.upgrade import Verdict


class Combine(Enum):
    """What a newly dragged box does to the selection."""

    NEW = "new"
    ADD = "add"
    REMOVE = "remove"
    INTERSECT = "intersect"
    INVERT = "invert"
    """All that is not selected; its box only says whence one looks."""


@dataclass(frozen=True, eq=False)
class Pick:
    """One step of selecting."""

    box: Box
    how: Combine = Combine.NEW
    through: bool = False
    """Take what is hidden behind the visible surface too."""
    depth: float | None = None
    """Nothing deeper than so many times the median depth of what the box shows."""


@dataclass(frozen=True, eq=False)
class Selection:
    """A box and, once it is found, what is in it."""

    box: Box
    """The box dragged last."""
    region: Region | None = None
    """None while it is being looked for, after an error, and after the scene it was found in has changed."""
    error: GsrError | None = None
    pending: bool = False
    picks: tuple[Pick, ...] = ()
    """How it came about, in order."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of an upgrade."""

    name: str
    verdict: Verdict
    applied: bool
    """False: the old splats stayed; `Session.force` applies it all the same."""
    edit: Edit | None
    added: int
    """Gaussians that are new."""
    changed: int
    """Gaussians put in for one taken out."""
    removed: int
    """Gaussians taken out for nothing."""
    seconds: float
    beaten_by: str | None = None
    """Method of the region's version that is better and stays shown; this one is another version to flip to."""


@dataclass(frozen=True, eq=False)
class SceneChanged:
    """The scene was swapped."""

    scene: Gaussians
    reason: str
    """upgrade, beside (another version, not shown), force, undo, redo, hide, show, flip, remove, delete, mend or close
    views."""
    edit: Edit
    step: Step | None = None
    """The step that was made, undone or redone, where that is known."""


@dataclass(frozen=True, eq=False)
class Previewed:
    """An upgrade at work has finished a piece, or shows nothing any more; see `Session.preview`."""


@dataclass(frozen=True, eq=False)
class RegionsChanged:
    """A region has another name."""


@dataclass(frozen=True, eq=False)
class JobChanged:
    """A job moved on."""

    job: Job
    status: JobStatus


@dataclass(frozen=True, eq=False)
class SelectionChanged:
    """Another box, another region, or none."""

    selection: Selection | None


@dataclass(frozen=True, eq=False)
class Judged:
    """An upgrade ended with a verdict."""

    outcome: Outcome


Event = SceneChanged | Previewed | RegionsChanged | JobChanged | SelectionChanged | Judged
