"""`gsr evaluate`: upgrade methods measured on photos that nobody used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from gaussian_lens_app.commands.arguments import Device, Holdout, OptionalPath, OptionalPixels, parse_holdout
from gaussian_lens_app.commands.device import ready_rasterizer
from gaussian_lens_app.commands.progress import Progress
from gaussian_lens_app.commands.reading import check_target, tell


@dataclass(frozen=True)
class Evaluate:
    """Measure upgrade methods on boxes of photos kept out, before and after (docs/benchmark.md)."""

    capture: Positional[Path]
    """Folder with photos and cameras."""
    scene: Path
    """Scene made from the other photos at low resolution (`gsr reconstruct CAPTURE --long-side 400 --holdout 8:4`), in
    any format that `gsr convert` reads. One that saw the test photos flatters every row."""
    methods: tuple[str, ...] = ("input", "band-limited", "pixels", "fit-only", "refine")
    """input (unchanged), band-limited (what upgrades start from where photos are larger than the scene's), full (the
    whole scene optimised: the ceiling), and any upgrade methods."""
    holdout: Holdout = "8:4"
    """Test photos: those whose index modulo EVERY is OFFSET."""
    boxes: int = 3
    """Boxes a test photo: the centre, then where the low-resolution photo lacks most."""
    at: Annotated[tuple[tuple[float, float], ...], arg(metavar="X Y [X Y ...]")] = ()
    """Instead of those, boxes around these places, in parts of a photo's sides: 0.5 0.5 is the centre."""
    whole: bool = False
    """Measure whole test photos instead of boxes."""
    budget_seconds: float = 4.0
    """Seconds a method may take; the published tables use 6, the viewer's slider starts at 10."""
    budget_gaussians: int = 60_000
    """Gaussians a method may add."""
    photo_long_side: OptionalPixels = None
    """Show the methods photos of at most so many pixels on the longer side."""
    test_long_side: OptionalPixels = None
    """Measure on test photos of at most so many pixels on the longer side."""
    low_long_side: int = 400
    """Size of the photos that the scene was made from."""
    camera_error: float = 0.0
    """Make the cameras of context photos wrong by so many pixels."""
    full_steps: int = 2000
    """Optimisation steps of full."""
    device: Device = "auto"
    """Where to compute; auto takes an NVIDIA GPU where there is one (not yet run on a real one; cpu is tested)."""
    seed: int = 0
    """Same seed, same figures (for a fixed number of threads), where the budget is not what ends a method."""
    json: OptionalPath = None
    """Write every figure here, and beside it the table (.md) and a plot (.png)."""
    rows: OptionalPath = None
    """Keep each row here as it finishes; a run that was stopped goes on from it."""
    save: OptionalPath = None
    """Folder that keeps each candidate scene as PLY."""

    def run(self) -> None:
        holdout = parse_holdout(self.holdout)
        json = None if self.json is None else check_target(self.json, ".json")
        from gaussian_lens_app.benchmark import EvaluateSettings, evaluate
        from gaussian_lens_app.evaluation.report import write_report

        choices = {name: value for name, value in vars(self).items() if name != "json"}
        choices["holdout"] = holdout
        rasterizer = ready_rasterizer(self.device)
        with Progress() as progress:
            evaluation = evaluate(EvaluateSettings(**choices), progress, rasterizer)
        print(evaluation.table(), end="")
        if json is not None:
            tell(*(f"Wrote {path}" for path in write_report(evaluation, json)))
