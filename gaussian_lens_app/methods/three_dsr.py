"""`3dsr`: a 2D prior invents detail, and the scene makes all photos agree on it, at every step of the prior's chain."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch

from gaussian_lens_app.errors import JobCancelled, MethodError
from gaussian_lens_app.formats.atomic import write_atomically
from gaussian_lens_app.jobs.report import Report
from gaussian_lens_app.methods.base import Needs, Scope, Task
from gaussian_lens_app.methods.three_dsr_rounds import Rounds, RoundSettings, State
from gaussian_lens_app.methods.three_dsr_views import SmallView, cameras_of, small_views
from gaussian_lens_app.optimize.density import AdaptiveSettings
from gaussian_lens_app.optimize.joint import JointSettings
from gaussian_lens_app.optimize.local import touching
from gaussian_lens_app.optimize.start import extent_of
from gaussian_lens_app.places import cache_folder
from gaussian_lens_app.priors import AnyPrior, PriorSource, is_diffusion, load_prior
from gaussian_lens_app.scene import Patch

log = logging.getLogger(__name__)

MOST_WAITING = 8
"""Rounds that wait on disk for the same upgrade to go on."""


@dataclass(frozen=True)
class ThreeDSRSettings:
    """What 3DSR does and how much of it."""

    prior: PriorSource = field(default_factory=PriorSource)
    long_side: int = 200
    """Photos, or the windows of them that show a box, are reduced to so many pixels before they are sharpened."""
    rounds: RoundSettings = field(default_factory=RoundSettings)
    keep_rounds: bool = True
    """Write every round to the user's cache folder; the same upgrade goes on there after a crash or a cancel."""


CPU = ThreeDSRSettings()
PUBLISHED = AdaptiveSettings(start=500, every=100, until=0.5, gradient=0.0008, reset_every=10**9)
GPU = ThreeDSRSettings(
    long_side=500,
    rounds=RoundSettings(steps=5000, joint=JointSettings(), split=False, density=PUBLISHED, max_gaussians=2_000_000),
)
"""The paper's 4 x 5000 steps, Gaussians cloned and split in the first half of them."""


class ThreeDSR:
    """The loop of 3DSR (arXiv 2508.04090), with each photo's own x_t."""

    name: ClassVar[str] = "3dsr"
    label: ClassVar[str] = "3DSR (invents detail)"
    summary: ClassVar[str] = "A diffusion prior invents detail in all photos, or own pictures; none can verify it."
    needs: ClassVar[Needs] = Needs.NOTHING
    scopes: ClassVar[tuple[Scope, ...]] = (Scope.SCENE, Scope.REGION)

    def __init__(
        self,
        settings: ThreeDSRSettings | None = None,
        prior: AnyPrior | None = None,
        source: PriorSource = PriorSource(),  # noqa: B008  frozen
    ):
        """Settings None: those for the scene's device, with the prior of `source`. `prior` goes before either."""
        self.settings, self.prior, self.source = settings, prior, source

    def __call__(self, task: Task, report: Report) -> Patch:
        device_settings = GPU if task.scene.device.type == "cuda" else CPU
        settings = self.settings or dataclasses.replace(device_settings, prior=self.source)
        told: list[str] = []
        prior = self.prior or load_prior(settings.prior, task.scene.device.type, told.append)
        self._check(prior)
        report(told[-1] if told else f"Prior: {prior.name}", 0.0)
        views, source = small_views(task, prior.scale, settings.long_side)
        rounds = self._rounds(task, views, prior, settings)
        kept = _Kept(_path(task, views, prior, settings) if settings.keep_rounds else None)
        rounds.state = kept.read(task.scene.device) or rounds.state
        provenance = self._provenance(prior, views, source, settings)

        def finished(state: State) -> None:
            kept.write(state)
            task.preview(_patch(task, rounds, provenance))

        try:
            rounds.run(report, task.budget.seconds, finished)
        except JobCancelled as stop:
            if rounds.state.done:
                stop.kept = _patch(task, rounds, provenance)
            raise
        kept.forget()
        return _patch(task, rounds, provenance)

    def _check(self, prior: AnyPrior) -> None:
        if not is_diffusion(prior):
            raise MethodError(f"The prior {prior.name} has no chain to step into: use the method 3dsr-approx with it.")

    def _rounds(self, task: Task, views: list[SmallView], prior: AnyPrior, settings: ThreeDSRSettings) -> Rounds:
        scene, selected = task.scene, task.region.selected
        near = torch.zeros_like(selected)
        for view in views:
            near |= touching(scene, view.camera, view.rect)
        most = min(settings.rounds.max_gaussians, int(selected.sum()) + task.budget.gaussians)
        joint = dataclasses.replace(settings.rounds.joint, mode=task.mode)
        settings_here = dataclasses.replace(settings.rounds, max_gaussians=most, joint=joint, seed=task.seed)
        extent = extent_of(cameras_of(views))
        frozen, start = scene.take(near & ~selected), scene.take(selected)
        return Rounds(frozen, start, views, prior, task.rasterizer, extent, settings_here)

    def _provenance(
        self, prior: AnyPrior, views: list[SmallView], source: str, settings: ThreeDSRSettings
    ) -> dict[str, Any]:
        return {
            "method": self.name,
            "kind": "invented",
            "prior": prior.name,
            "prior_licence": prior.licence,
            "mode": "published" if source == "photos" else "derived",
            "hr_source": source,
            "pictures": len(views),
            "small_size": list(views[0].small.shape[1::-1]),
            "lambda": settings.rounds.joint.small_weight,
        }


class ThreeDSRApprox(ThreeDSR):
    """The same rounds with an upscaler that has no chain: sharpen, fit, sharpen the renders again."""

    name = "3dsr-approx"
    label = "3DSR, approximate (invents detail)"
    summary = "Like 3DSR, for upscalers without a diffusion chain; an approximation of the method."

    @property
    def lacking(self) -> str | None:
        """What must be given before it can run."""
        if self.prior is not None or self.source.prior != PriorSource().prior:
            return None
        return "needs an upscaler, given with --prior FILE"

    def _check(self, prior: AnyPrior) -> None:
        if is_diffusion(prior):
            raise MethodError(
                f"The prior {prior.name} has a diffusion chain: use the method 3dsr with it, or give an upscaler that "
                "has none with --prior FILE."
            )


def _patch(task: Task, rounds: Rounds, provenance: dict[str, Any]) -> Patch:
    rows = task.region.selected.nonzero()[:, 0].cpu()
    facts = {**provenance, "rounds": [dict(figures) for figures in rounds.state.figures]}
    return Patch(rows, rounds.result(), rows[rounds.state.origins], provenance=facts)


class _Kept:
    """The last finished round on disk."""

    def __init__(self, path: Path | None):
        self.path = path

    def read(self, device: torch.device) -> State | None:
        if self.path is None:
            return None
        self._clear_out(self.path.parent)
        try:
            if not self.path.exists():
                return None
            return State.from_disk(torch.load(self.path, map_location=device, weights_only=True))
        except Exception:  # whatever a damaged file trips over (pickle's own class is imported nowhere here)
            return None  # an older layout, or half a file: begin anew

    def write(self, state: State) -> None:
        """Only to go on from later: where it cannot be written, or is no numbers any more, the upgrade goes on."""
        if self.path is None or not all(bool(torch.isfinite(values).all()) for _, values in state.moving.tensors()):
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with write_atomically(self.path) as file:
                torch.save(state.to_disk(), file)
        except Exception as error:  # torch has errors of its own for a disk that is full
            log.warning("a round of 3DSR was not kept: %s", error)

    def forget(self) -> None:
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)

    @staticmethod
    def _clear_out(folder: Path) -> None:
        """Of what runs that were stopped or failed left behind, only the newest stay."""
        with contextlib.suppress(OSError):
            for path in sorted(folder.glob("*.pt"), key=lambda path: path.stat().st_mtime)[:-MOST_WAITING]:
                path.unlink()


def _path(task: Task, views: list[SmallView], prior: AnyPrior, settings: ThreeDSRSettings) -> Path:
    """One file for the same scene, selection, pictures, prior and settings."""
    key = hashlib.sha256(repr((1, settings, prior.name, task.mode, task.budget, task.seed)).encode())
    tensors = [tensor for _, tensor in task.scene.tensors()]
    for view in views:
        tensors += [view.small, view.camera.viewmat, view.camera.K]
    for tensor in [*tensors, task.region.selected]:
        key.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return cache_folder() / "3dsr" / f"{key.hexdigest()[:32]}.pt"
