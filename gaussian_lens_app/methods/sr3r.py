"""`sr3r`: a network that learned what low-resolution photos of a scene come from super-resolves it in one pass.

What is selected is then fitted to these photos for a few rounds: an addition to the paper.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gaussian_lens_app.errors import MethodError, NeedsMissing, NothingSelected
from gaussian_lens_app.jobs.report import Report, within
from gaussian_lens_app.methods.base import Needs, Scope, Task
from gaussian_lens_app.methods.gaussian_lens_inputs import footprints
from gaussian_lens_app.methods.own_views import own_views
from gaussian_lens_app.methods.sr3r_fit import LowFitSettings, fitted_low
from gaussian_lens_app.methods.sr3r_inputs import looks_of, run_sr3r
from gaussian_lens_app.methods.sr3r_tiles import Piece, TileSettings, low_windows, pieces, sights
from gaussian_lens_app.methods.sr3r_views import FACTOR, UPSAMPLERS, LowView, low_mode, low_view
from gaussian_lens_app.methods.targets import surroundings
from gaussian_lens_app.networks.shuffle_split import CHILDREN, Split, SplitSettings, shuffle_split
from gaussian_lens_app.networks.sr3r import SR3R as Network
from gaussian_lens_app.networks.weights import network_with
from gaussian_lens_app.scene import Gaussians, Kind, Patch, Photo


@dataclass(frozen=True)
class SR3RSettings:
    """What `sr3r` looks at and how much at once."""

    long_side: int = 400
    """Larger photos are looked at in this size: the network knows photos as small as those a scene was made from."""
    upsampler: Literal["bicubic", "bilinear", "prior"] = "bicubic"
    """What enlarges the photos for the network, which learned with bicubically enlarged ones."""
    tiles: TileSettings = field(default_factory=TileSettings)
    fit: LowFitSettings = field(default_factory=LowFitSettings)
    """After the forward pass, where there are photos: what is selected and some photo shows, all of it."""
    forward_share: float = 0.5
    """The network takes at most this part of the seconds, so that there are some for the fit."""
    split: SplitSettings = field(default_factory=SplitSettings)
    least_seen: float = 0.1
    """The network leaves as they are Gaussians that two of a piece's photos do not show, each by so many low-resolution
    pixels..."""
    largest: float = 8.0
    """...and those larger than so many low-resolution pixels (middle scale): no window shows one whole."""
    weights: Path | None = None
    """None: the released ones."""


@dataclass(frozen=True, eq=False)
class Part:
    """A piece of the scene after the network."""

    rows: Int[Tensor, "R"]
    """Of the scene, those that are replaced."""
    added: Gaussians
    parents: Int[Tensor, "A"]
    """The row each added one came from."""


class SR3R:
    """Super-resolve a scene, or a box of it, from the low-resolution photos it was made from, or from none."""

    name: ClassVar[str] = "sr3r"
    label: ClassVar[str] = "SR3R"
    summary: ClassVar[str] = "A network super-resolves from small photos (or the scene's pictures), then fits to them."
    needs: ClassVar[Needs] = Needs.NOTHING
    scopes: ClassVar[tuple[Scope, ...]] = (Scope.REGION, Scope.SCENE)

    def __init__(self, settings: SR3RSettings | None = None):
        self.settings = settings or SR3RSettings()

    def __call__(self, task: Task, report: Report) -> Patch:
        deadline = time.monotonic() + task.budget.seconds
        if task.region.count == 0:
            raise NothingSelected("The box holds no Gaussian: drag it over something that is drawn.")
        network = self._network(str(task.scene.device))
        photos, derived = self._photos(task, within(report, 0.0, 0.1))
        mode = low_mode(task.mode)
        cameras = [photo.camera for photo in photos]
        seen = sights(task.scene, photos, task.rasterizer, mode, within(report, 0.1, 0.2))
        todo = pieces(task.scene, task.region.selected, seen, cameras, self.settings.tiles)
        if not todo:
            raise NeedsMissing("No two photos see the same part of what is selected: choose something the photos show.")
        fits = not derived and self.settings.fit.rounds > 0
        until = deadline - (1 - self.settings.forward_share) * task.budget.seconds if fits else deadline
        facts = self._facts(photos, derived)
        parts = self._forward(task, network, todo, photos, facts, within(report, 0.2, 0.6 if fits else 1.0), until)
        if not any(len(part.rows) for part in parts):
            raise MethodError(
                "No two photos show enough of any Gaussian here to sharpen it: try `split`, or more photos."
            )
        facts["parts"] = [len(parts), len(todo)]
        fit = self._fitted(task, parts, seen, photos, facts, within(report, 0.6, 1.0), deadline) if fits else None
        return fit or self._patch(parts, facts)

    def _forward(
        self,
        task: Task,
        network: Network,
        todo: Sequence[Piece],
        photos: Sequence[Photo],
        facts: dict[str, Any],
        report: Report,
        deadline: float,
    ) -> list[Part]:
        """One pass of the network over each piece, while there are seconds; the first in any case."""
        split, parts = self._split(task), []
        for number, piece in enumerate(todo):
            report(f"Super-resolving, part {number + 1} of {len(todo)}", number / len(todo))
            if parts and time.monotonic() > deadline:
                break
            parts.append(self._run(task, network, piece, photos, split))
            task.preview(self._patch(parts, facts))
        return parts

    def _network(self, device: str) -> Network:
        network = network_with(self.settings.weights, "sr3r", device)
        assert isinstance(network, Network)
        return network

    def _photos(self, task: Task, report: Report) -> tuple[list[Photo], bool]:
        """(low-resolution photos of what is selected, whether the scene took them itself)."""
        if task.capture is not None and task.region.views:
            photos = [task.capture.photos[view.photo] for view in task.region.views]
            return [_read(photo.with_long_side(self.settings.long_side)) for photo in photos], False
        mode = low_mode(task.mode)
        own = own_views(task.scene, task.region.selected, task.box, task.rasterizer, mode, report)
        return list(own.photos), True

    def _split(self, task: Task) -> SplitSettings:
        """Settings that divide no more Gaussians than the budget allows: the most opaque ones."""
        most = task.budget.gaussians // (CHILDREN - 1)
        opacities = task.scene.opacities[task.region.selected]
        divided = opacities[opacities > self.settings.split.least_opacity]
        if len(divided) <= most:
            return self.settings.split
        least = float(divided.sort(descending=True).values[most])
        return dataclasses.replace(self.settings.split, least_opacity=least)

    def _run(self, task: Task, network: Network, piece: Piece, photos: Sequence[Photo], split: SplitSettings) -> Part:
        """One forward pass over a piece; all around it stands as it was."""
        scene, mode = task.scene, task.mode
        upsampler = UPSAMPLERS[self.settings.upsampler]
        windows = list(low_windows(scene, piece, photos, task.rasterizer, low_mode(mode)))
        views = [low_view(window, upsampler) for window in windows]
        inside = torch.zeros(len(scene), dtype=torch.bool, device=scene.device)
        inside[piece.rows] = True
        frozen = surroundings(scene, inside, [view.high for view in views])
        divided = shuffle_split(scene.take(piece.rows), split)
        if not network.config.split:
            divided = shuffle_split(scene.take(piece.rows), dataclasses.replace(split, least_opacity=1.0))
        children = divided.divided[divided.parents]
        with torch.no_grad():
            looks = looks_of(frozen, divided.gaussians, views, task.rasterizer, mode)
            after = run_sr3r(network, divided.gaussians, children, views, looks)
        weights = torch.stack([one.low.weights for one in looks], 1)
        known = self._known(divided, weights, views)
        kept = known[divided.parents]
        return Part(piece.rows[known].cpu(), after.take(kept), piece.rows[divided.parents[kept]].cpu())

    def _known(self, divided: Split, weights: Float[Tensor, "M V"], views: Sequence[LowView]) -> Bool[Tensor, "N"]:
        """Which Gaussians of the piece, families together, the photos tell enough about to change them."""
        scaffold, parents, count = divided.gaussians, divided.parents, len(divided.divided)
        shown = torch.zeros(count, weights.shape[1], device=weights.device).index_add(0, parents, weights)
        sizes = scaffold.log_scales.median(-1).values.exp()
        small = sizes < self.settings.largest * footprints(scaffold.means, [view.low for view in views])
        large = torch.zeros(count, device=weights.device).index_add(0, parents, (~small).float())
        return ((shown > self.settings.least_seen).sum(1) >= min(2, weights.shape[1])) & (large == 0)

    def _fitted(
        self,
        task: Task,
        parts: Sequence[Part],
        seen: Float[Tensor, "N V"],
        photos: Sequence[Photo],
        facts: dict[str, Any],
        report: Report,
        deadline: float,
    ) -> Patch | None:
        """What the network made, and all else selected that a photo shows, fitted to the photos; None without time."""
        forward = self._patch(parts, facts)
        moving = task.region.selected & (seen.sum(1) > 0)
        moving[forward.removed] = False
        others = moving.nonzero()[:, 0]
        start = Gaussians.concat([forward.added, task.scene.take(others)])
        moving[forward.removed] = True
        removed, parents = moving.nonzero()[:, 0].cpu(), torch.cat([forward.parents, others.cpu()])
        kinds = torch.full((len(start),), int(Kind.FITTED), dtype=torch.uint8)
        kinds[: len(forward.added)] = int(Kind.LEARNED)

        def patch_of(fitted: Gaussians, **more: Any) -> Patch:
            return Patch(removed, fitted, parents, kinds=kinds, provenance={**facts, **more})

        fit = fitted_low(
            task,
            photos,
            moving,
            start,
            self.settings.fit,
            report,
            deadline=deadline,
            watch=lambda gaussians: task.preview(patch_of(gaussians)),
        )
        if fit is None:
            return None
        told = {"steps": fit.steps, "fitted_to": list(fit.photos), "glimpses": list(fit.glimpses)}
        return patch_of(fit.gaussians, **told)

    def _facts(self, photos: Sequence[Photo], derived: bool) -> dict[str, Any]:
        return {
            "method": self.name,
            "kind": "derived" if derived else "learned",
            "mode": "own views" if derived else "photos",
            "photos": [] if derived else [photo.name for photo in photos],
            "photo_long_side": max(max(photo.camera.width, photo.camera.height) for photo in photos),
            "factor": FACTOR,
            "upsampler": self.settings.upsampler,
        }

    def _patch(self, parts: Sequence[Part], facts: dict[str, Any]) -> Patch:
        """What the network made of the pieces so far."""
        removed = torch.cat([part.rows for part in parts]).sort().values
        added = Gaussians.concat([part.added for part in parts])
        return Patch(removed, added, torch.cat([part.parents for part in parts]), provenance=facts)


def _read(photo: Photo) -> Photo:
    """The photo with its pixels at hand: every piece looks at it, and making it small takes time."""
    return Photo(photo.name, photo.camera, photo.load())
