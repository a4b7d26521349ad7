"""Which upgrade methods can run here, and why the others cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gaussian_lens_app.methods import METHODS, Method, Needs, Scope
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
        Choice(method.name, method.label, method.summary, _missing(method, capture), method.scopes)
        for method in METHODS.values()
    )


def label_of(method: str) -> str:
    """What the menu calls a method; of one that is not in the table, or tuned (`refine:...`), its name."""
    return METHODS[method].label if method in METHODS else method


def for_boxes(choices: Sequence[Choice]) -> tuple[Choice, ...]:
    """Those that can run here on a box."""
    return tuple(choice for choice in choices if choice.missing is None and Scope.REGION in choice.scopes)


def for_whole_scenes(choices: Sequence[Choice]) -> tuple[Choice, ...]:
    """Those that can run here: made for whole scenes first, then those that go through one part by part."""
    able = [choice for choice in choices if choice.missing is None]
    return tuple(sorted(able, key=lambda choice: Scope.REGION in choice.scopes))


def _missing(method: Method, capture: Capture | None) -> str | None:
    if method.needs is not Needs.NOTHING and (capture is None or len(capture) == 0):
        return f"needs {method.needs.value}; open the scene with --capture"
    return getattr(method, "lacking", None)  # few methods need more than they can say by `needs`
