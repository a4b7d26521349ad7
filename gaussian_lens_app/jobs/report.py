"""How work tells its progress and learns that it was cancelled."""

from typing import Protocol


class Report(Protocol):
    """Called by work at least every half second; raises JobCancelled when the user has stopped the job."""

    def __call__(self, stage: str, fraction: float) -> None:
        """`stage` is shown to the user as it is; `fraction` of the whole job is in 0..1 and never falls."""


def silent(stage: str, fraction: float) -> None:
    """A Report for callers that do not watch."""


def within(report: Report, start: float, end: float) -> Report:
    """A Report for a step that takes the part `start`..`end` of the whole."""
    return lambda stage, fraction: report(stage, start + (end - start) * fraction)
