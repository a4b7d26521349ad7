"""Writes a scene over another again and again, killed with SIGKILL at one line of our code later each time.

python killed_at_every_line.py FOLDER TARGET prints: lines, times the old scene stood after it, times the new one.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import torch
from exports import NEW, OLD, scene_of, standing

import gaussian_lens_app.formats as formats

MOST = int(os.environ.get("GSR_FAULT_STAGES", "60"))
"""Stages tried, half of them the last lines, where the file takes its place, the others evenly chosen."""


def save_until(path: Path, stop: int) -> int:
    """Lines of our code that saving runs through; kills this process at line `stop`."""
    lines = 0

    def at_line(frame, event, argument):
        nonlocal lines
        if event == "line":
            lines += 1
            if lines == stop:
                os.kill(os.getpid(), signal.SIGKILL)
        return at_line

    def at_call(frame, event, argument):
        return at_line if "gaussian_lens_app" in frame.f_code.co_filename else None

    sys.settrace(at_call)
    formats.save(path, scene_of(NEW))
    sys.settrace(None)
    return lines


def stages(total: int) -> list[int]:
    half = MOST // 2
    return sorted({*range(1, total + 1, max(1, total // half)), *range(max(1, total - half), total + 1)})


def main(folder: Path, name: str) -> None:
    torch.set_num_threads(1)
    pristine, work = folder / "pristine", folder / "work"
    pristine.mkdir()
    formats.save(pristine / name, scene_of(OLD))
    shutil.copytree(pristine, work)
    total = save_until(work / name, 0)
    found = {OLD: 0, NEW: 0}
    for stop in stages(total):
        shutil.rmtree(work)
        shutil.copytree(pristine, work)
        child = os.fork()
        if child == 0:
            save_until(work / name, stop)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"stage {stop} was not reached"
        found[standing(work / name)] += 1
    formats.save(work / name, scene_of(NEW))  # what was left behind is in nobody's way
    assert standing(work / name) == NEW
    print(total, found[OLD], found[NEW])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
