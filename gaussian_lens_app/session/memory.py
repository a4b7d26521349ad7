"""Memory that ran out, as a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gaussian_lens_app.errors import DeviceError
from gaussian_lens_app.scene.memory import memory_ran_out


@contextmanager
def memory_errors_as_sentences(doing: str, remedy: str = "try a smaller box or a lower budget") -> Iterator[None]:
    """Turns every way of running out of memory into a DeviceError that says what to do, the `remedy`."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not memory_ran_out(error):
            raise
        raise DeviceError(f"Memory ran out during {doing}; the scene is as it was: {remedy}.") from error
