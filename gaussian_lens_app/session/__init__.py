"""The edited scene: select, upgrade, undo, redo, export; tells listeners. Knows no viser and no argv."""

from gaussian_lens_app.session.events import (
    Event,
    JobChanged,
    Judged,
    Outcome,
    SceneChanged,
    Selection,
    SelectionChanged,
)
from gaussian_lens_app.session.history import Edit, Edited
from gaussian_lens_app.session.opening import open_session
from gaussian_lens_app.session.session import Session

__all__ = [
    "Edit",
    "Edited",
    "Event",
    "JobChanged",
    "Judged",
    "Outcome",
    "SceneChanged",
    "Selection",
    "SelectionChanged",
    "Session",
    "open_session",
]
