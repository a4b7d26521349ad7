"""Our own feed-forward backbone: a depth for every pixel by plane sweep, a Gaussian for every pixel worth one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from gaussian_lens_app.backbones.pixel_gaussians import as_gaussians
from gaussian_lens_app.errors import CaptureError
from gaussian_lens_app.jobs.report import Report, silent
from gaussian_lens_app.networks.plane_sweep import STRIDE, Pinholes, PlaneSweep, Swept
from gaussian_lens_app.networks.weights import network_with
from gaussian_lens_app.optimize.start import extent_of
from gaussian_lens_app.scene import Camera, Gaussians, Photo, SparsePoints


@dataclass(frozen=True)
class SweepSettings:
    """How photos become Gaussians."""

    long_side: int = 400
    """Photos are averaged down to this many pixels; depths have half as many."""
    others: int = 3
    """Photos that each one is compared with."""
    least_baseline: float = 0.02
    """Those nearer to it than this part of the typical depth tell nothing..."""
    widest: float = math.radians(40)
    """...and those that look from so far aside see too little of the same."""
    agree: float = 0.03
    """Depths of two photos that differ by less than this part mean the same surface."""
    least_confidence: float = 0.35
    """A pixel that no other photo confirms needs as much to become a Gaussian."""
    max_gaussians: int = 120_000
    weights: Path | None = None
    """None: the released ones."""


@dataclass(frozen=True, eq=False)
class Taken:
    """A photo with its depths."""

    camera: Camera
    """Of the depth map."""
    small: Float[Tensor, "3 h w"]
    swept: Swept
    others: tuple[int, ...]


class PlaneSweepBackbone:
    """Pixel-aligned Gaussians from two or more photos with cameras; no optimisation."""

    def __init__(self, settings: SweepSettings | None = None, points: SparsePoints | None = None):
        """`points`, where there are any, tell how near and how far the scene is."""
        self.settings, self.points = settings or SweepSettings(), points

    def __call__(self, photos: Sequence[Photo], report: Report = silent) -> Gaussians:
        if len(photos) < 2:
            raise CaptureError("A plane sweep compares photos: give at least two.")
        network = self._network()
        images = [_image(photo.with_long_side(self.settings.long_side)) for photo in photos]
        small = [F.avg_pool2d(image[None], STRIDE)[0] for image in images]
        cameras = [_halved(photo.with_long_side(self.settings.long_side).camera) for photo in photos]
        with torch.no_grad():
            features = [network.describe(image[None])[0] for image in images]
            taken = []
            for index, camera in enumerate(cameras):
                report(f"Sweeping photo {index + 1} of {len(photos)}", 0.9 * index / len(photos))
                near, far = self._range(index, cameras)
                others = self._others(index, cameras, math.sqrt(near * far))
                rows = [index, *(row for row in others if small[row].shape == small[index].shape)]
                if len(rows) < 2:
                    continue
                pinholes = Pinholes(
                    torch.stack([cameras[row].viewmat for row in rows]), torch.stack([cameras[row].K for row in rows])
                )
                stack = torch.stack([small[row] for row in rows]), torch.stack([features[row] for row in rows])
                swept = network(*stack, pinholes, (1 / far, 1 / near))
                taken.append(Taken(camera, small[index], swept, tuple(rows[1:])))
            if not taken:
                raise CaptureError("No two photos look at the same thing from different places.")
            report("Joining the photos", 0.9)
            return self._joined(taken)

    def _network(self) -> PlaneSweep:
        network = network_with(self.settings.weights, "plane-sweep")
        assert isinstance(network, PlaneSweep)
        return network

    def _range(self, index: int, cameras: Sequence[Camera]) -> tuple[float, float]:
        """Nearest and farthest depth before a camera: from sparse points, or from where the cameras look."""
        if self.points is not None and len(self.points.positions) >= 20:
            inside, depths = cameras[index].frames(self.points.positions.float())
            seen = depths[inside]
            if len(seen) >= 20:
                low, high = seen.quantile(torch.tensor([0.01, 0.99])).tolist()
                return 0.8 * low, 1.4 * high
        focus = focus_depth(cameras[index], cameras)
        if focus is not None:
            return 0.5 * focus, 2.5 * focus
        extent = extent_of(list(cameras))
        return 0.4 * extent, 8 * extent

    def _others(self, index: int, cameras: Sequence[Camera], depth: float) -> list[int]:
        """The photos nearest to this one that see the same from another place."""
        own = cameras[index]
        ranked = []
        for row, camera in enumerate(cameras):
            baseline = float((camera.position - own.position).norm())
            turned = float(torch.acos((camera.forward @ own.forward).clamp(-1, 1)))
            if row != index and baseline > self.settings.least_baseline * depth and turned < self.settings.widest:
                ranked.append((baseline / depth + turned, row))
        return [row for _, row in sorted(ranked)[: self.settings.others]]

    def _joined(self, taken: Sequence[Taken]) -> Gaussians:
        """One layer of Gaussians: of pixels that show the same surface the first photo's alone."""
        layers = []
        for number, one in enumerate(taken):
            points = one.camera.unproject(one.camera.pixel_centres(), one.swept.depth)
            confirmed = torch.zeros_like(one.swept.depth, dtype=torch.bool)
            doubled = torch.zeros_like(confirmed)
            for other, second in enumerate(taken):
                if other == number:
                    continue
                same = self._same(points, second)
                confirmed |= same
                if other < number:
                    doubled |= same
            keep = (confirmed | (one.swept.confidence > self.settings.least_confidence)) & ~doubled
            layers.append(as_gaussians(one.swept, one.camera, one.small, keep))
        scene = Gaussians.concat(layers)
        most = self.settings.max_gaussians
        return scene if len(scene) <= most else scene.take(scene.logit_opacities.argsort(descending=True)[:most])

    def _same(self, points: Float[Tensor, "h w 3"], second: Taken) -> Bool[Tensor, "h w"]:
        """Where the other photo's depths say that it sees these points."""
        pixels, depths = second.camera.project(points.reshape(-1, 3))
        size = pixels.new_tensor([second.camera.width, second.camera.height])
        grid = (pixels / size * 2 - 1)[None, None]
        told = F.grid_sample(second.swept.depth[None, None], grid, mode="nearest", align_corners=False)[0, 0, 0]
        inside = (grid[0, 0].abs() < 1).all(-1) & (depths > 0)
        same = inside & ((told / depths.clamp_min(1e-9) - 1).abs() < self.settings.agree)
        return same.view(points.shape[:2])


def focus_depth(camera: Camera, cameras: Sequence[Camera]) -> float | None:
    """Depth of the point that all cameras look at most nearly; None where they do not look at one."""
    axes = torch.stack([one.forward for one in cameras]).double()
    places = torch.stack([one.position for one in cameras]).double()
    across = torch.eye(3, dtype=torch.float64) - axes[:, :, None] * axes[:, None]
    system = across.mean(0)
    if float(torch.linalg.eigvalsh(system)[0]) < 2e-3:  # nearly parallel: about 3 degrees apart
        return None
    point = torch.linalg.solve(system, (across @ places[..., None]).mean(0)[:, 0]).float()
    depth = float(camera.to_camera(point[None])[0, 2])
    return depth if depth > 0 else None


def _image(photo: Photo) -> Float[Tensor, "3 H W"]:
    """The pixels, sides cut to even numbers."""
    pixels = photo.load().permute(2, 0, 1).float() / 255
    return pixels[:, : pixels.shape[1] // STRIDE * STRIDE, : pixels.shape[2] // STRIDE * STRIDE]


def _halved(camera: Camera) -> Camera:
    """The camera of the depth map."""
    K = camera.K.clone()
    K[:2] /= STRIDE
    return Camera(camera.viewmat, K, camera.width // STRIDE, camera.height // STRIDE)
