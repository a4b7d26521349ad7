"""`gsr reconstruct`: a scene from photos with cameras."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from gaussian_lens_app.commands.arguments import Device, OptionalHoldout, Output, parse_holdout
from gaussian_lens_app.commands.device import ready_rasterizer
from gaussian_lens_app.commands.progress import Progress
from gaussian_lens_app.commands.reading import check_target, read_capture

if TYPE_CHECKING:
    from gaussian_lens_app.backbones.base import Backbone
    from gaussian_lens_app.jobs import Report
    from gaussian_lens_app.raster import Rasterizer
    from gaussian_lens_app.scene import Capture, Gaussians


@dataclass(frozen=True)
class Reconstruct:
    """Optimise a scene from photos with cameras."""

    capture: Positional[Path]
    """Folder with photos and cameras: COLMAP, transforms.json or cameras.json."""
    output: Output
    """PLY to write."""
    long_side: int = 400
    """Photos are averaged down to this many pixels on their longer side."""
    steps: int = 7000
    """Optimisation steps, one photo each."""
    sh_degree: Literal[0, 1, 2, 3, 4] = 0
    """View dependence of the colours: 0 (none) to 4."""
    strategy: Literal["adaptive", "mcmc"] = "adaptive"
    """Adaptive density control of 3DGS, or relocation as in 3DGS-MCMC."""
    max_gaussians: int = 75_000
    """The scene stops growing here."""
    random_points: int = 20_000
    """Start with so many random points where the capture has none."""
    feed_forward: bool = False
    """Depths by plane sweep with a trained network and a Gaussian a pixel, in seconds; nothing is optimised."""
    holdout: OptionalHoldout = None
    """Keep the photos whose index modulo EVERY is OFFSET out, and print the PSNR on them."""
    device: Device = "auto"
    """Where to compute; auto takes an NVIDIA GPU where there is one (not yet run on a real one; cpu is tested)."""
    seed: int = 0
    """Same seed, same scene (for a fixed number of threads)."""

    def run(self) -> None:
        output = check_target(self.output, ".ply")
        holdout = parse_holdout(self.holdout) if self.holdout else None
        from gaussian_lens_app import formats

        rasterizer = ready_rasterizer(self.device)
        capture = read_capture(self.capture)
        context, test = capture.split(holdout) if holdout else (capture, capture.only([]))
        started = time.monotonic()
        with Progress() as report:
            make = self._swept if self.feed_forward else self._optimised
            scene = make(context, rasterizer, report)
        formats.save(output, scene)
        seconds = time.monotonic() - started
        print(f"{output}: {len(scene)} Gaussians from {len(context)} photos in {seconds:.0f} s")
        if len(test):
            self._print_psnr(scene, test, rasterizer)

    def _optimised(self, context: Capture, rasterizer: Rasterizer, report: Report) -> Gaussians:
        from gaussian_lens_app.optimize.reconstruct import ReconstructSettings, reconstruct

        settings = ReconstructSettings(
            long_side=self.long_side,
            steps=self.steps,
            sh_degree=self.sh_degree,
            strategy=self.strategy,
            max_gaussians=self.max_gaussians,
            random_points=self.random_points,
            seed=self.seed,
        )
        return reconstruct(context, settings, rasterizer, report)

    def _swept(self, context: Capture, rasterizer: Rasterizer, report: Report) -> Gaussians:
        """The scene of the photos without optimisation, for which nothing is drawn."""
        from gaussian_lens_app.backbones.plane_sweep import PlaneSweepBackbone, SweepSettings

        settings = SweepSettings(long_side=self.long_side, max_gaussians=max(self.max_gaussians, 120_000))
        backbone: Backbone = PlaneSweepBackbone(settings, context.points)
        return backbone(context.photos, report)

    def _print_psnr(self, scene: Gaussians, test: Capture, rasterizer: Rasterizer) -> None:
        from gaussian_lens_app.evaluation.modes import mean_psnr
        from gaussian_lens_app.raster import ANTIALIASED

        small = test.with_long_side(self.long_side)
        psnr = mean_psnr(scene.to(rasterizer.device), small, rasterizer, ANTIALIASED)
        print(f"PSNR on {len(test)} photos kept out, at {self.long_side} px: {psnr:.2f} dB")
