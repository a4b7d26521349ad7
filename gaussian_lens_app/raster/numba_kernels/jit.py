"""How kernels are compiled: once for this processor, kept in a per-user cache, run without the GIL."""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numba.core.config

from gaussian_lens_app.places import cache_folder

FLOAT_RULES = {"contract", "nsz", "arcp"}
"""Fused multiply-add and reciprocals; no reordering, so a result does not depend on how a loop was unrolled."""


def kernel(function: Callable) -> Any:
    """`function` compiled at its first call (seconds), later loaded from the cache (milliseconds)."""
    config: Any = numba.core.config
    previous, config.CACHE_DIR = config.CACHE_DIR, str(cache_dir())
    try:
        return numba.njit(
            function, nogil=True, cache=True, fastmath=FLOAT_RULES, error_model="numpy", boundscheck=False
        )
    finally:
        config.CACHE_DIR = previous


inline_jit: Any = functools.partial(numba.njit, fastmath=FLOAT_RULES, error_model="numpy", boundscheck=False)
"""For helpers, compiled into the kernels that call them."""


@functools.cache
def cache_dir() -> Path:
    """A folder named after the kernels' own text: numba alone would miss a change in a helper's file."""
    text = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    key = hashlib.sha256(text + numba.__version__.encode()).hexdigest()[:16]
    for folder in (cache_folder() / "kernels", Path(tempfile.gettempdir()) / f"gaussian_lens_app-{os.getuid()}"):
        try:
            (folder / key).mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder / key, os.W_OK):
            return folder / key
    return Path(tempfile.mkdtemp(prefix="gaussian_lens_app-"))


def is_cold() -> bool:
    """True when nothing has been compiled yet for this version of the kernels."""
    return next(cache_dir().rglob("*.nbi"), None) is None
