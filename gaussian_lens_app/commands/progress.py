"""Progress of a command: a bar that redraws itself on a terminal, a few plain lines everywhere else."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

BAR_WIDTH = 30
REDRAW_SECONDS = 0.1
LINE_SECONDS = 10.0
"""Without a terminal a long stage says so this often: enough for a log, not a flood."""
STAGE_SECONDS = 0.5
"""Without a terminal stages shorter than this may go unsaid."""


class Progress:
    """A Report for people; as a context manager it leaves the cursor on a fresh line."""

    def __init__(self, stream: TextIO | None = None):
        self.stream = stream or sys.stderr
        self.interactive = self.stream.isatty()
        self._started = time.monotonic()
        self._shown_at = float("-inf")
        self._stage: str | None = None
        self._line = ""

    def __call__(self, stage: str, fraction: float) -> None:
        now = time.monotonic()
        name = stage.partition(":")[0]  # what follows are figures that change all the time
        if now - self._shown_at < self._pause(name == self._stage):
            return
        self._stage, self._shown_at = name, now
        self._show(self._text(stage, min(max(fraction, 0.0), 1.0), now - self._started))

    def _pause(self, same_stage: bool) -> float:
        """Seconds between two updates."""
        if self.interactive:
            return REDRAW_SECONDS if same_stage else 0.0
        return LINE_SECONDS if same_stage else STAGE_SECONDS

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self.interactive and self._line:
            self.stream.write("\r" + " " * len(self._line) + "\r")
            self.stream.flush()

    def _text(self, stage: str, fraction: float, seconds: float) -> str:
        left = f", {_clock(seconds * (1 - fraction) / fraction)} left" if 0.02 < fraction < 1 and seconds > 2 else ""
        if not self.interactive:
            return f"{fraction:4.0%}  {stage} ({_clock(seconds)}{left})"
        filled = round(BAR_WIDTH * fraction)
        return f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {fraction:4.0%}  {stage}{left}"

    def _show(self, text: str) -> None:
        if self.interactive:
            text = text[: shutil.get_terminal_size().columns - 1]  # a line that wraps cannot be redrawn
            self.stream.write("\r" + text + " " * max(0, len(self._line) - len(text)))
            self._line = text
        else:
            self.stream.write(text + "\n")
        self.stream.flush()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes else f"{rest} s"
