"""Telling memory that ran out from other errors."""

from __future__ import annotations

import torch

_WORDS = ("allocate memory", "not enough memory", "out of memory")
"""Torch's CPU allocator and CUDA's libraries raise a plain RuntimeError that only its text tells apart."""


def memory_ran_out(error: BaseException) -> bool:
    """Whether that is what the error means, of the processor's memory or of a device's."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _WORDS)
