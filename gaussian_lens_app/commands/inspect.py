"""`gsr inspect`: what is in a file."""

from __future__ import annotations

import json as json_text
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from gaussian_lens_app.commands.arguments import OptionalPath
from gaussian_lens_app.commands.progress import Progress


@dataclass(frozen=True)
class Inspect:
    """Say what is in a scene file or a capture: counts, bounds, histograms, and what is wrong with it."""

    file: Positional[Path]
    """Scene file in any format that `gsr convert` reads, or a folder with photos and cameras."""
    capture: OptionalPath = None
    """The photos and cameras a scene belongs to: then it is also told whether the scene is mirrored or turned."""
    json: bool = False
    """Print JSON instead."""

    def run(self) -> None:
        from gaussian_lens_app import formats

        with Progress() as progress:
            facts = formats.inspect(self.file, progress, self.capture)
        print(json_text.dumps(facts, indent=1) if self.json else formats.describe(facts))
