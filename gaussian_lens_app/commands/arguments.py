"""Argument types that several subcommands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from gaussian_lens_app.errors import GsrError

Device = Literal["auto", "cpu", "cuda"]

BoxPixels = Annotated[tuple[int, int, int, int], tyro.conf.arg(metavar="X0 Y0 X1 Y1")]
"""Half-open, in pixels of a photo at full size."""

OptionalPath = Annotated[Path | None, tyro.conf.arg(metavar="PATH")]
OptionalPixels = Annotated[int | None, tyro.conf.arg(metavar="PIXELS")]
Output = Annotated[Path, tyro.conf.arg(aliases=["-o"])]

Holdout = Annotated[str, tyro.conf.arg(metavar="EVERY:OFFSET")]
OptionalHoldout = Annotated[str | None, tyro.conf.arg(metavar="EVERY:OFFSET")]


def parse_holdout(text: str) -> tuple[int, int]:
    """(every, offset): test photos are those whose index (sorted by name) modulo `every` is `offset`."""
    every, _, offset = text.partition(":")
    if not (every.isdigit() and offset.isdigit() and int(offset) < int(every)):
        raise GsrError(f"--holdout {text} is no EVERY:OFFSET: write for example 8:4, which keeps photos 4, 12, 20 out.")
    return int(every), int(offset)
