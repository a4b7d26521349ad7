"""Memory that ran out, as a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from gaussian_lens_app.errors import DeviceError

_TOLD_BY_TORCH = ("can't allocate memory", "out of memory")
"""Torch's CPU allocator raises a plain RuntimeError that only its text tells apart."""


@contextmanager
def memory_errors_as_sentences(doing: str, remedy: str = "try a smaller box or a lower budget") -> Iterator[None]:
    """Turns every way of running out of memory into a DeviceError that says what to do, the `remedy`."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise _sentence(doing, remedy) from error
    except RuntimeError as error:
        if any(words in str(error).lower() for words in _TOLD_BY_TORCH):
            raise _sentence(doing, remedy) from error
        raise


def _sentence(doing: str, remedy: str) -> DeviceError:
    return DeviceError(f"Memory ran out during {doing}; the scene is as it was: {remedy}.")
