"""What is promised of any scene file, checked on one."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import torch

from gaussian_lens_app.errors import GsrError
from gaussian_lens_app.formats import load
from gaussian_lens_app.formats.limits import GROWTH, SPARE, scene_bytes

LONGEST_SECONDS = 5.0


def survives(path: Path) -> None:
    """Load it, and hold every promise that is made about files nobody vouches for."""
    held = path.stat().st_size
    before = {p.name: p.stat().st_mtime_ns for p in path.parent.iterdir()}
    tracemalloc.start()
    started, sentence = time.monotonic(), ""
    claimed = GROWTH * held + SPARE  # what a file is refused for may be found late
    try:
        g = load(path).gaussians
        claimed = scene_bytes(len(g), g.sh_degree)
        assert all(torch.isfinite(t).all() for _, t in g.tensors())
        assert len(g)
    except GsrError as error:
        sentence = str(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert time.monotonic() - started < LONGEST_SECONDS
    assert len(sentence) < 700
    assert "\n" not in sentence
    assert peak < 4 * max(held, claimed) + SPARE
    assert {p.name: p.stat().st_mtime_ns for p in path.parent.iterdir()} == before
