"""The edited scene: select, upgrade, undo, redo, export; tells listeners. Knows no viser and no argv."""

from gaussian_lens_app.session.events import (
    Combine,
    Event,
    JobChanged,
    Judged,
    Outcome,
    Pick,
    Previewed,
    RegionsChanged,
    SceneChanged,
    Selection,
    SelectionChanged,
)
from gaussian_lens_app.session.exporting import ExportSettings
from gaussian_lens_app.session.history import Edit, Edited
from gaussian_lens_app.session.opening import open_session
from gaussian_lens_app.session.session import Session

__all__ = [
    "Combine",
    "Edit",
    "Edited",
    "Event",
    "ExportSettings",
    "JobChanged",
    "Judged",
    "Outcome",
    "Pick",
    "Previewed",
    "RegionsChanged",
    "SceneChanged",
    "Selection",
    "SelectionChanged",
    "Session",
    "open_session",
]
