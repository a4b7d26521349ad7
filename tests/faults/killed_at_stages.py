"""Opens a project, upgrades and exports in it, and is killed with SIGKILL at one stage after the other.

python killed_at_stages.py ROOT: of every stage a copy of ROOT/pristine is left as ROOT/STAGE. Prints what ended each.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from exports import NEW, OLD, scene_of

from gaussian_lens_app import formats
from gaussian_lens_app.methods import Budget
from gaussian_lens_app.scene import Box
from gaussian_lens_app.session import JobChanged, Session
from gaussian_lens_app.session.project import open_project
from gaussian_lens_app.session.workspace import Workspace

METHOD, BUDGET = "split", Budget(1.0)
JOBS = {"selecting": "Selecting", "running": "Splitting", "judging": "Judging", "landing": "Swapping in"}
"""Stage here -> how the job's stage begins that is shown to the user then."""
SAVES = {"patch-unsynced": ("fsync", 1), "patch-unnamed": ("replace", 1), "list-unsynced": ("fsync", 3)}
SAVES |= {"list-unnamed": ("replace", 2)}
"""Stage of an autosave -> the call, counted, that is its last: the patch's file is written first, then the list that
names it; each is synced, renamed, and its folder synced."""
EXPORTS = {"export-unsynced": ("fsync", 1), "export-unnamed": ("replace", 1), "export-named": ("fsync", 2)}
BEFORE = (*JOBS, "swapping", *SAVES)
"""Killed there, the upgrade is not on disk."""
AFTER = ("list-named", "told")
"""Killed there, it is."""
STAGES = (*BEFORE, *AFTER, *EXPORTS)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def box_of(session: Session) -> Box:
    assert session.capture is not None
    return Box(session.capture.photos[2].camera, (90, 60, 150, 110))


def dying_at_call(name: str, number: int) -> None:
    """From now on call `number` of os.NAME kills this process instead."""
    real, calls = getattr(os, name), 0

    def counted(*args, **how):
        nonlocal calls
        calls += 1
        if calls == number:
            die()
        return real(*args, **how)

    setattr(os, name, counted)


def dying_after(owner: type, name: str, kill: Callable[[], None] = die) -> None:
    """The next call of a method kills this process when it is done."""
    real = getattr(owner, name)
    setattr(owner, name, lambda *args: (real(*args), kill()))


def until(stage: str, folder: Path) -> None:
    """Works until the stage, and does not return."""
    torch.set_num_threads(1)
    session, _ = open_project(folder / "work", "cpu")
    if stage in EXPORTS:
        formats.save(folder / "out.ply", scene_of(OLD))
        dying_at_call(*EXPORTS[stage])
        formats.save(folder / "out.ply", scene_of(NEW))
    if stage in JOBS:
        session.subscribe(
            lambda event: (
                die() if isinstance(event, JobChanged) and event.status.stage.startswith(JOBS[stage]) else None
            )
        )
    elif stage == "swapping":
        dying_after(Workspace, "_enter_new")
    elif stage in SAVES:
        dying_at_call(*SAVES[stage])
    elif stage == "list-named":
        dying_at_call("fsync", 4)
    elif stage == "told":
        session.subscribe(lambda event: die() if type(event).__name__ == "Judged" else None)
    session.upgrade(box_of(session), METHOD, BUDGET, judge=stage == "judging").result(120)


def main(root: Path) -> None:
    ended = {}
    for stage in STAGES:
        shutil.copytree(root / "pristine", root / stage)
        child = os.fork()
        if child == 0:
            until(stage, root / stage)
            os._exit(0)
        end = time.monotonic() + 120
        while (found := os.waitpid(child, os.WNOHANG))[0] == 0:
            if time.monotonic() > end:
                os.kill(child, signal.SIGTERM)
            time.sleep(0.02)
        ended[stage] = found[1]
    print(json.dumps(ended))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
