"""`gaussian-vae`: predicts from the scene alone what its Gaussians would be at higher resolution."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

import torch
from jaxtyping import Bool
from torch import Tensor

from gaussian_lens_app.errors import NothingSelected
from gaussian_lens_app.jobs.report import Report, within
from gaussian_lens_app.lineages.applying import Grown, Variant, choose_pairs, propose, stepped
from gaussian_lens_app.lineages.sensitivity import sensitivity
from gaussian_lens_app.methods.base import Needs, Scope, Task
from gaussian_lens_app.networks.gaussian_vae import GaussianVAE
from gaussian_lens_app.networks.weights import network_with
from gaussian_lens_app.optimize.losses import psnr_of_mse
from gaussian_lens_app.raster import Rasterizer, RenderMode
from gaussian_lens_app.scene import Camera, Gaussians, Patch
from gaussian_lens_app.scene.synthetic import LONG_SIDE, cameras_around, cameras_near


@dataclass(frozen=True)
class VAEMethodSettings:
    """What changes and how far."""

    steps: int = 1
    """Steps of half as much resolution again, each applied to the result of the one before (the paper's +1 to +4)."""
    variant: Variant = "guided"
    """targeted, guided or whole."""
    share: float = 0.0
    """Part of the Gaussians, those the picture depends on most, that become two; 0: each becomes one. On the training
    captures pairs cost more than they bring: banana +0.19 dB without, -0.05 dB with a quarter."""
    cameras: int = 12
    """Views that say what the picture depends on: the capture's, or synthetic ones around what is upgraded."""
    probes: int = 2
    strength: float = 1.0
    """How far changes go, 0 to 1."""
    least_db: float = 28.0
    """Seen small, the result must look like the input to so many dB; changes are halved until it does."""
    weights: Path | None = None
    """None: the released ones."""


class GaussianVAEMethod:
    """Needs nothing but the file: every Gaussian's ancestors come from merging it with its neighbours."""

    name: ClassVar[str] = "gaussian-vae"
    label: ClassVar[str] = "GaussianVAE"
    summary: ClassVar[str] = "Predicts finer Gaussians from the scene alone; needs no photos, and none confirms it."
    needs: ClassVar[Needs] = Needs.NOTHING
    scopes: ClassVar[tuple[Scope, ...]] = (Scope.REGION, Scope.SCENE)

    def __init__(self, settings: VAEMethodSettings | None = None):
        self.settings = settings or VAEMethodSettings()

    def __call__(self, task: Task, report: Report) -> Patch:
        settings, started = self.settings, time.monotonic()
        own = task.region.selected.clone()
        if not bool(own.any()):
            raise NothingSelected("The box holds no Gaussian: drag it over something that is drawn.")
        report("Loading the networks", 0.0)
        network = self._network(str(task.scene.device))
        cameras = views_of(task, settings.cameras)
        grown, strengths = Grown.start(task.scene, own), []
        for step in range(settings.steps):
            if step and time.monotonic() - started > task.budget.seconds * step / (step + 1):
                break
            part = within(report, step / settings.steps, (step + 1) / settings.steps)
            grown, strength = self._step(grown, network, cameras, task, part)
            strengths.append(strength)
            task.preview(self._patch(grown, task, strengths))
        return self._patch(grown, task, strengths)

    def _network(self, device: str) -> GaussianVAE:
        return cast(GaussianVAE, network_with(self.settings.weights, self.name, device))

    def _step(
        self, grown: Grown, network: GaussianVAE, cameras: tuple[Camera, ...], task: Task, report: Report
    ) -> tuple[Grown, float]:
        """(one step further, the strength it was taken with)."""
        settings = self.settings
        values = torch.zeros_like(grown.scene.opacities)
        if settings.share or settings.variant == "whole":
            told = within(report, 0.0, 0.5)
            values = sensitivity(grown.scene, cameras, task.rasterizer, task.mode, settings.probes, task.seed, told)
        report("Predicting children", 0.5)
        proposal = propose(network, grown)
        room = max(0, task.budget.gaussians - (len(grown.scene) - len(task.scene)))
        pairs = choose_pairs(grown, proposal, values, settings.variant, settings.share, room)
        strength = settings.strength
        while True:
            report("Comparing with the scene as it was", 0.8 + 0.05 / strength**0.5)
            after = stepped(grown, proposal, pairs, settings.variant != "targeted", strength)
            if (
                strength < 0.2
                or likeness(task.scene, after.scene, cameras, task.rasterizer, task.mode) > settings.least_db
            ):
                return after, strength
            strength /= 2

    def _patch(self, grown: Grown, task: Task, strengths: list[float]) -> Patch:
        removed = torch.zeros(len(task.scene), dtype=torch.bool, device=task.scene.device)
        removed[grown.origins[grown.changed]] = True
        provenance = {
            "method": self.name,
            "kind": "derived",
            "photos": [],
            "variant": self.settings.variant,
            "steps": len(strengths),
            "strengths": strengths,
        }
        return Patch(
            removed=removed.nonzero()[:, 0].cpu(),
            added=grown.scene.take(grown.changed),
            parents=grown.origins[grown.changed].cpu(),
            provenance=provenance,
        )


def views_of(task: Task, count: int) -> tuple[Camera, ...]:
    """The capture's cameras that see the region, spread evenly; without photos, synthetic ones by the box or around."""
    if task.capture is not None and task.region.views:
        views = task.region.views[:: -(-len(task.region.views) // count)]
        return tuple(task.capture.photos[view.photo].camera for view in views)
    chosen = task.scene.take(_core(task))
    if task.box is not None:
        return cameras_near(task.box, chosen.means.median(0).values, count)
    return cameras_around(chosen, count)


def _core(task: Task) -> Bool[Tensor, "N"]:
    """What is upgraded and not as good as transparent."""
    solid = task.region.selected & (task.scene.opacities > 0.1)
    return solid if bool(solid.any()) else task.region.selected


def likeness(
    before: Gaussians, after: Gaussians, cameras: tuple[Camera, ...], rasterizer: Rasterizer, mode: RenderMode
) -> float:
    """PSNR between small pictures of two scenes over some of the cameras, dB."""
    total, count = 0.0, 0
    for camera in cameras[:: max(1, len(cameras) // 4)]:
        small = camera.with_long_side(LONG_SIDE).to(before.device)
        with torch.no_grad():
            pictures = [rasterizer.render(scene, small, mode=mode).rgb.clamp(0, 1) for scene in (before, after)]
        total, count = total + float((pictures[0] - pictures[1]).square().mean()), count + 1
    return psnr_of_mse(total / max(1, count))
