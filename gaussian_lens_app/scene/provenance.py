"""Where a Gaussian comes from."""

from __future__ import annotations

from enum import IntEnum


class Kind(IntEnum):
    """How a Gaussian came to be what it is; the numbers are those of exported files."""

    INPUT = 0
    """As it stood in the scene that was opened, or a part of one that did."""
    FITTED = 1
    """Fitted to photos, or placed by them."""
    LEARNED = 2
    """Made by a trained network, and measured on a photo it had not seen."""
    INVENTED = 3
    """Made up: no photo shows that it is so."""

    @property
    def label(self) -> str:
        return self.name.lower()
