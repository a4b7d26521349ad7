"""A scene in pieces for SR3R: Gaussians that stand together, and the windows of the photos that show them best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gaussian_lens_app.jobs.report import Report
from gaussian_lens_app.methods.gaussian_lens_tiles import boxes
from gaussian_lens_app.methods.targets import Target
from gaussian_lens_app.networks.sr3r import PATCH
from gaussian_lens_app.raster import Rasterizer, Render, RenderMode
from gaussian_lens_app.scene import Camera, Gaussians, Photo, Rect

SIGHT_LONG_SIDE = 240
"""Which photo shows which Gaussian is told at this size."""
EDGE = 0.01
"""This part of what a photo shows of a piece, at each side, may stand outside of its window."""
MARGIN = 4
"""Low-resolution pixels around what is shown."""
LEAST_SIDE = 8
"""A window whose shorter side has fewer low-resolution pixels is of no use."""


@dataclass(frozen=True)
class TileSettings:
    """How large pieces are and how many photos look at each."""

    gaussians: int = 800
    """Gaussians of the scene in a piece, at most; the split makes more of them."""
    photos: int = 2
    """Of each piece, those that show most of it, as many as in the paper; four gain nothing after fitting."""
    largest: int = 96
    """Low-resolution pixels a side of a window, at most; what reaches farther is seen in part."""


@dataclass(frozen=True, eq=False)
class Piece:
    """Some Gaussians of a scene and the photos that show them, best first."""

    rows: Int[Tensor, "M"]
    photos: tuple[int, ...]
    rects: tuple[Rect, ...]
    shown: float
    """How much the photos show of it, pixels."""


def sights(
    scene: Gaussians, photos: Sequence[Photo], rasterizer: Rasterizer, mode: RenderMode, report: Report
) -> Float[Tensor, "N V"]:
    """What each Gaussian contributes to each photo, in pixels of a small picture."""
    columns = []
    for number, photo in enumerate(photos):
        report("Looking which photo shows what", number / len(photos))
        camera = photo.camera.to(scene.device)
        small = camera.with_long_side(min(SIGHT_LONG_SIDE, max(camera.width, camera.height)))
        everywhere = torch.ones(small.height, small.width, 1, device=scene.device)
        factor = small.width / camera.width
        columns.append(rasterizer.contributions(scene, small, everywhere, mode=mode.scaled(factor))[:, 0])
    return torch.stack(columns, 1)


def pieces(
    scene: Gaussians,
    selected: Bool[Tensor, "N"],
    seen: Float[Tensor, "N V"],
    cameras: Sequence[Camera],
    settings: TileSettings,
) -> list[Piece]:
    """The selected Gaussians in pieces, those first of which photos show most; each piece has two photos or more."""
    rows = selected.nonzero()[:, 0]
    found = []
    for part in boxes(scene.means[rows], settings.gaussians):
        piece = _piece(scene, rows[part], seen, cameras, settings)
        if len(piece.photos) >= min(2, len(cameras)) and piece.photos:
            found.append(piece)
    return sorted(found, key=lambda piece: -piece.shown)


def _piece(
    scene: Gaussians,
    rows: Int[Tensor, "M"],
    seen: Float[Tensor, "N V"],
    cameras: Sequence[Camera],
    settings: TileSettings,
) -> Piece:
    """The photos that show these Gaussians best, each with its window."""
    weights = seen[rows]
    order = weights.sum(0).argsort(descending=True).tolist()
    photos, rects = [], []
    for index in order[: 2 * settings.photos]:
        rect = _window(scene.means[rows], weights[:, index], cameras[index].to(scene.device), settings)
        if rect is not None and len(photos) < settings.photos:
            photos.append(index)
            rects.append(rect)
    rects = _alike(rects, [cameras[index] for index in photos])
    return Piece(rows, tuple(photos), tuple(rects), float(weights.sum()))


def _alike(rects: Sequence[Rect], cameras: Sequence[Camera]) -> list[Rect]:
    """The windows enlarged to one size, whole patches, where their photos are that large: no padding, faster."""
    if not rects:
        return []
    width, height = (
        -(-max(rect[axis + 2] - rect[axis] for rect in rects) // PATCH) * PATCH for axis in (0, 1)
    )  # fmt: skip
    alike = []
    for rect, camera in zip(rects, cameras, strict=True):
        x0, x1 = _enlarged(rect[0], rect[2], width, camera.width)
        y0, y1 = _enlarged(rect[1], rect[3], height, camera.height)
        alike.append((x0, y0, x1, y1))
    return alike


def _enlarged(low: int, high: int, wanted: int, full: int) -> tuple[int, int]:
    """The span with about the same middle and `wanted` pixels, or all of `full`."""
    start = max(0, min((low + high - wanted) // 2, full - wanted))
    return start, min(full, start + wanted)


def _window(
    means: Float[Tensor, "M 3"], weights: Float[Tensor, "M"], camera: Camera, settings: TileSettings
) -> Rect | None:
    """The part of the photo in which it shows nearly all that it shows of these Gaussians."""
    pixels, depths = camera.project(means)
    shown = (weights > 0) & (depths > 0)
    if not bool(shown.any()):
        return None
    share = weights[shown] / weights[shown].sum()
    sides = []
    for axis, full in enumerate((camera.width, camera.height)):
        low, high = _span(pixels[shown, axis], share)
        low, high = max(0, int(low) - MARGIN), min(full, int(high) + 1 + MARGIN)
        if high - low > settings.largest:
            low = max(low, min((low + high - settings.largest) // 2, high - settings.largest))
            high = low + settings.largest
        sides.append((low, high))
    (x0, x1), (y0, y1) = sides
    return (x0, y0, x1, y1) if min(x1 - x0, y1 - y0) >= LEAST_SIDE else None


def _span(values: Float[Tensor, "M"], share: Float[Tensor, "M"]) -> tuple[float, float]:
    """Between which values all but EDGE of the weight lies at either side."""
    order = values.argsort()
    total = share[order].cumsum(0)
    last = len(values) - 1
    low, high = (int((total < part).sum()) for part in (EDGE, 1 - EDGE))
    return float(values[order[min(low, last)]]), float(values[order[min(high, last)]])


def low_windows(
    scene: Gaussians, piece: Piece, photos: Sequence[Photo], rasterizer: Rasterizer, mode: RenderMode
) -> Iterator[Target]:
    """The piece's windows of low-resolution photos; masks say where the piece is what is seen."""
    inside = torch.zeros(len(scene), 1, device=scene.device)
    inside[piece.rows] = 1
    for index, rect in zip(piece.photos, piece.rects, strict=True):
        photo = photos[index]
        camera = photo.camera.to(scene.device)
        with torch.no_grad():
            render = rasterizer.render(scene, camera, mode=mode, crop=rect, features=inside, sh_degree=0)
        assert render.features is not None
        yield Target(
            photo.name, camera, rect, photo.crop(rect).to(scene.device), render.features[..., 0] > 0.5, _bare(render)
        )


def _bare(render: Render) -> Render:
    return Render(render.rgb, render.alpha, render.depth, render.median_depth)
