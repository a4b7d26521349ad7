"""Which upgrade methods can run here, and why the others cannot."""

from __future__ import annotations

from dataclasses import dataclass

from gaussian_lens_app.methods import METHODS, Needs, Scope
from gaussian_lens_app.scene import Capture


@dataclass(frozen=True)
class Choice:
    """One entry of the method menu."""

    name: str
    label: str
    summary: str
    missing: str | None
    """What it needs that is not here; None: it can run."""
    scopes: tuple[Scope, ...] = (Scope.REGION,)


def choices(capture: Capture | None) -> tuple[Choice, ...]:
    """All methods in the table's order."""
    return tuple(
        Choice(method.name, method.label, method.summary, _missing(method.needs, capture), method.scopes)
        for method in METHODS.values()
    )


def _missing(needs: Needs, capture: Capture | None) -> str | None:
    if needs is Needs.NOTHING or (capture is not None and len(capture) > 0):
        return None
    return f"needs {needs.value}; open the scene with --capture"
