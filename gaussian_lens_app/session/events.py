"""What a session tells its listeners, always as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gaussian_lens_app.errors import GsrError
from gaussian_lens_app.jobs import Job, JobStatus
from gaussian_lens_app.scene import Box, Gaussians, Region
from gaussian_lens_app.session.history import Edit

if TYPE_CHECKING:
    from gaussian_lens_app.upgrade import Verdict


@dataclass(frozen=True, eq=False)
class Selection:
    """A box and, once it is found, what is in it."""

    box: Box
    region: Region | None = None
    """None while it is being looked for, after an error, and after the scene it was found in has changed."""
    error: GsrError | None = None
    pending: bool = False


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


@dataclass(frozen=True, eq=False)
class SceneChanged:
    """The scene was swapped."""

    scene: Gaussians
    reason: str
    """upgrade, force, undo or redo."""
    edit: Edit


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


Event = SceneChanged | JobChanged | SelectionChanged | Judged
