"""A scene cut into blocks that can be upgraded apart: each with what it needs of the scene and of the photos."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from gaussian_lens_app.jobs.report import Report, silent
from gaussian_lens_app.methods import Budget
from gaussian_lens_app.methods.targets import MARGIN, widened
from gaussian_lens_app.optimize.local import touching
from gaussian_lens_app.raster import Rasterizer, RenderMode
from gaussian_lens_app.scene import Box, Camera, Capture, Gaussians, PhotoView, Region
from gaussian_lens_app.select import region_of
from gaussian_lens_app.upgrade.request import UpgradeRequest

MOST = 6000
"""Gaussians of a block: what a box of a quarter of a photo's sides holds in the scenes we know."""
TRIM = 0.02
"""Part of a block's Gaussians at either end that do not say how long it is."""


@dataclass(frozen=True, eq=False)
class Block:
    """A task of its own: it can be sent to another machine, which needs the photos and nothing else of the scene."""

    number: int
    rows: Int[Tensor, "S"]
    """Rows of the whole scene: the block's own and those that show in the same windows (its halo)."""
    scene: Gaussians
    """Those rows."""
    region: Region
    """The block's own rows among them; its views index `capture`."""
    capture: Capture
    """The photos that see it."""
    box: Box
    """The window of the photo that sees it best."""
    method: str
    budget: Budget
    mode: RenderMode
    judge: bool
    seed: int

    def request(self, rasterizer: Rasterizer) -> UpgradeRequest:
        """What to ask for, on the machine that has this rasterizer.

        The judge's photo stays unseen at any size: of parts that few photos see, at the scene's edges, one that a fit
        has glimpsed at accepts too much (docs/architecture.md has what that cost and brought).
        """
        return UpgradeRequest(
            self.scene, self.box, self.capture, self.method, rasterizer, self.budget, self.mode,
            judge=self.judge, glimpse=False, seed=self.seed, region=self.region,
        )  # fmt: skip


def blocks_of(
    request: UpgradeRequest, parts: Iterable[tuple[int, Tensor]], budget: Budget, report: Report = silent
) -> Iterator[Block]:
    """Blocks for those numbered parts of the scene that some photo sees; each is made when it is asked for."""
    capture = request.capture
    for number, rows in parts:
        report("Finding its photos", 0.0)
        block = None if capture is None else _block(request, capture, number, rows, budget)
        if block is not None:
            yield block


def parts_of(scene: Gaussians, most: int = MOST, report: Report = silent) -> list[Int[Tensor, "P"]]:
    """Rows of each part: halved across the longest side until none holds more than `most`; the same every time."""
    waiting, parts = [torch.arange(len(scene))], []
    means = scene.means.detach().cpu()
    while waiting:
        report("Cutting the scene into parts", 0.0)
        rows = waiting.pop()
        if len(rows) <= most:
            parts.append(rows)
            continue
        here = means[rows]
        trimmed = here.sort(0).values[int(TRIM * len(rows)) : len(rows) - int(TRIM * len(rows))]
        axis = int((trimmed[-1] - trimmed[0]).argmax())
        order = here[:, axis].argsort(stable=True)
        half = len(rows) // 2
        waiting += [rows[order[half:]].sort().values, rows[order[:half]].sort().values]
    return parts


def _block(request: UpgradeRequest, capture: Capture, number: int, own: Tensor, budget: Budget) -> Block | None:
    """None where no photo shows enough of it."""
    scene = request.scene
    selected = torch.zeros(len(scene), dtype=torch.bool, device=scene.device)
    selected[own.to(scene.device)] = True
    viewer = _facing(scene.means[selected], capture)
    if viewer is None:
        return None
    box = Box(viewer, viewer.rect)
    region = region_of(scene, selected, scene.opacities, box, capture, request.rasterizer, request.mode)
    if not region.views:
        return None
    rows = _halo(scene, selected, capture, region.views)
    photos = sorted({view.photo for view in region.views})
    views = tuple(dataclasses.replace(view, photo=photos.index(view.photo)) for view in region.views)
    best = capture.photos[region.views[0].photo].camera
    return Block(
        number, rows.cpu(), scene.take(rows), Region(selected[rows], region.contributions[rows], views),
        dataclasses.replace(capture.only(photos), windows_only=True), Box(best, region.views[0].rect),
        request.method, budget, request.mode, request.judge, request.seed + number,
    )  # fmt: skip


def _facing(means: Tensor, capture: Capture) -> Camera | None:
    """The photo's camera that has most of the block in view, the nearest of those."""
    best, found = (0.0, 0.0), None
    for photo in capture.photos:
        camera = photo.camera.to(means.device)
        inside, depths = camera.frames(means)
        share = round(float(inside.float().mean()), 1)
        near = 0.0 if share == 0 else float(camera.K[0, 0] / depths[inside].median())
        if share > 0 and (share, near) > best:
            best, found = (share, near), camera
    return found


def _halo(scene: Gaussians, selected: Tensor, capture: Capture, views: tuple[PhotoView, ...]) -> Int[Tensor, "S"]:
    """The block's rows and all that may show in its windows or the margin that fits look at around them, ascending."""
    needed = selected.clone()
    for view in views:
        camera = capture.photos[view.photo].camera.to(scene.device)
        needed |= touching(scene, camera, widened(view, camera, MARGIN).rect)
    return needed.nonzero()[:, 0]
