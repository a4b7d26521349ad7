"""Peak memory of a piece of work."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import torch

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def forget_peak(device: str) -> None:
    """Starts a new measurement where the system can."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return
    with contextlib.suppress(OSError):
        _RESET.write_text("5")


def peak_mb(device: str) -> float | None:
    """Most memory in use since `forget_peak`: the process on the CPU, torch's own on CUDA; None where unknown."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text())
    except OSError:
        return None
    return int(found[1]) / 1024 if found else None
