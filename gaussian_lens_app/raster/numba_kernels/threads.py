"""Runs a kernel on several threads at once; the kernel shares out its tasks itself through a ticket counter.

Kernels release the GIL, so plain Python threads do: numba's own `parallel=True` would need its omp or tbb layer (its
fallback, workqueue, aborts when two threads render at once) and several times the compile time.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch


def thread_count() -> int:
    """As many as torch uses, and no more than this process may run on."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(torch.get_num_threads(), available))


def run(kernel: Callable, *args) -> None:
    """Call `kernel(*args, tickets)` on every thread and return when all of them are done."""
    tickets = np.zeros(1, np.int64)
    others = [_pool(os.getpid()).submit(kernel, *args, tickets) for _ in range(thread_count() - 1)]
    try:
        kernel(*args, tickets)
    finally:
        # Even when this thread failed: the others still write into arrays that the caller would free.
        errors = [error for other in others if (error := other.exception())]
    if errors:
        raise errors[0]


@functools.cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Threads do not survive a fork, so the pool belongs to a process."""
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="raster")
