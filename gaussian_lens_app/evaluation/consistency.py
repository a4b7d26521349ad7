"""Do pictures of one scene show the same detail? They are warped into each other by the scene's depth and compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.raster import Rasterizer, RenderMode
from gaussian_lens_app.scene import Camera, Gaussians, Rect

SLACK = 0.03
"""A point counts as seen where its depth and the depth drawn there differ by less than this part."""
LEAST_ALPHA = 0.7


@dataclass(frozen=True, eq=False)
class Sighted:
    """A window of a camera and how far away the scene is in it."""

    camera: Camera
    rect: Rect
    depth: Float[Tensor, "h w"]
    solid: Bool[Tensor, "h w"]
    """Where the scene hides what is behind it."""


def sighted(scene: Gaussians, camera: Camera, rect: Rect, rasterizer: Rasterizer, mode: RenderMode) -> Sighted:
    """A window with the scene's depth."""
    with torch.no_grad():
        render = rasterizer.render(scene, camera.to(scene.device), mode=mode, crop=rect)
    depth = torch.where(render.median_depth > 0, render.median_depth, render.depth)
    return Sighted(camera.to(scene.device), rect, depth, (render.alpha > LEAST_ALPHA) & (depth > 0))


@dataclass(frozen=True)
class Disagreement:
    """Root mean squares over all pixels that two pictures share."""

    detail: float
    """RMS difference of what the small pictures cannot show, over the RMS of that detail itself: 0 where all pictures
    show the same, about 1.4 where each shows its own. Blur agrees cheaply, so it is divided by what there is."""
    whole: float
    """RMS difference of the pictures themselves over the same detail: other exposures and gloss count too."""
    energy: float
    """RMS of the detail, 0..1."""


def disagreement(pictures: Sequence[Float[Tensor, "h w 3"]], sights: Sequence[Sighted], scale: int) -> Disagreement:
    """Of each picture with the one taken nearest to it."""
    details = [picture - blurred(picture, scale) for picture in pictures]
    sums = torch.zeros(4, dtype=torch.float64)
    for i, j in pairs([sight.camera for sight in sights]):
        pixels, seen = seen_from(sights[i], sights[j])
        warped = [sample(values, sights[j], pixels)[seen] for values in (details[j], pictures[j])]
        here = [values[seen] for values in (details[i], pictures[i])]
        squares = [(a - b).square().sum() for a, b in zip(here, warped, strict=True)]
        energy = 0.5 * (here[0].square().sum() + warped[0].square().sum())
        sums += torch.stack([*squares, energy, seen.sum() * 3]).double().cpu()
    count, energy = max(float(sums[3]), 1.0), max(float(sums[2]), 1e-12)
    return Disagreement(float(sums[0] / energy) ** 0.5, float(sums[1] / energy) ** 0.5, (energy / count) ** 0.5)


def pairs(cameras: Sequence[Camera]) -> list[tuple[int, int]]:
    """Each camera with the one nearest to it."""
    places = torch.stack([camera.position for camera in cameras])
    distances = torch.cdist(places, places)
    distances.fill_diagonal_(torch.inf)
    return [(i, int(j)) for i, j in enumerate(distances.argmin(1))] if len(cameras) > 1 else []


def seen_from(here: Sighted, there: Sighted) -> tuple[Float[Tensor, "h w 2"], Bool[Tensor, "h w"]]:
    """(where this window's points fall in the other camera's picture, which of them are seen there)."""
    points = here.camera.unproject(here.camera.pixel_centres(here.rect), here.depth)
    pixels, depths = there.camera.project(points.reshape(-1, 3))
    pixels, depths = pixels.view((*points.shape[:2], 2)), depths.view(points.shape[:2])
    x0, y0, x1, y1 = there.rect
    x, y = pixels.unbind(-1)
    inside = (x > x0 + 1) & (x < x1 - 1) & (y > y0 + 1) & (y < y1 - 1) & (depths > 0)
    drawn = sample(there.depth[..., None], there, pixels)[..., 0]
    return pixels, here.solid & inside & ((drawn - depths).abs() < SLACK * depths)


def sample(values: Float[Tensor, "h w C"], window: Sighted, pixels: Float[Tensor, "a b 2"]) -> Float[Tensor, "a b C"]:
    """Bilinear samples of a window at positions of the camera's whole picture."""
    x0, y0, x1, y1 = window.rect
    size = pixels.new_tensor([x1 - x0, y1 - y0])
    grid = (pixels - pixels.new_tensor([x0, y0])) / size * 2 - 1
    found = F.grid_sample(values.permute(2, 0, 1)[None], grid[None], padding_mode="border", align_corners=False)
    return found[0].permute(1, 2, 0)


def blurred(picture: Float[Tensor, "h w 3"], scale: int) -> Float[Tensor, "h w 3"]:
    """What a picture `scale` times smaller can show of it."""
    planes = picture.permute(2, 0, 1)[None]
    small = F.avg_pool2d(planes, scale, ceil_mode=True)
    return F.interpolate(small, planes.shape[-2:], mode="bicubic", align_corners=False)[0].permute(1, 2, 0)


def plot_rounds(rounds: Sequence[Mapping[str, float]], path: Path) -> None:
    """Draw the disagreement of detail by round, with the scene between the pictures and without; 3DSR's figures."""
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    for key, label in (("together_detail", "with the scene in between (3DSR)"), ("alone_detail", "each photo alone")):
        values = [(row["round"], row[key]) for row in rounds if key in row]
        if values:
            axes.plot(*zip(*values, strict=True), marker="o", label=label)
            axes.legend(fontsize=8)
    axes.set(xlabel="round", ylabel="disagreement of detail", xticks=[int(row["round"]) for row in rounds])
    axes.set_ylim(bottom=0)
    figure.savefig(path, dpi=120)
