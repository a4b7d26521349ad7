"""The scene an optimisation starts from: the capture's sparse points, or random ones where the cameras look."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from gaussian_lens_app.errors import CaptureError
from gaussian_lens_app.scene import SH_C0, Camera, Capture, Gaussians, SparsePoints

FIRST_OPACITY = 0.1


def extent_of(cameras: list[Camera]) -> float:
    """Radius around the cameras' centre that holds them all plus a tenth, world units; the step size's unit in 3DGS."""
    positions = torch.stack([camera.position.cpu() for camera in cameras])
    radius = float((positions - positions.mean(0)).norm(dim=-1).max())
    return 1.1 * radius if radius > 1e-6 else 1.0


def from_points(points: SparsePoints, sh_degree: int) -> Gaussians:
    """One round Gaussian a point, as large as the distance to its three nearest neighbours."""
    positions = points.positions.float()
    count = len(positions)
    scales = _spacing(positions.numpy().astype(np.float64)).clamp_min(1e-7)
    quats = torch.zeros(count, 4)
    quats[:, 0] = 1
    return Gaussians(
        means=positions.clone(),
        quats=quats,
        log_scales=scales.log()[:, None].repeat(1, 3),
        logit_opacities=torch.full((count,), FIRST_OPACITY).logit(),
        sh0=((points.colors.float() / 255 - 0.5) / SH_C0)[:, None],
        shN=torch.zeros(count, (sh_degree + 1) ** 2 - 1, 3),
    )


def starting_points(capture: Capture, count: int, generator: torch.Generator) -> tuple[SparsePoints, str | None]:
    """(the capture's own points, or `count` random ones; a note for the user in the second case)."""
    if capture.points is not None and len(capture.points.positions) >= 4:
        return capture.points, None
    positions = _common_frustum([photo.camera for photo in capture.photos], count, generator)
    colors = torch.full(positions.shape, 127, dtype=torch.uint8)
    return SparsePoints(positions, colors), f"the capture has no sparse points: starting from {count} random ones"


def _spacing(positions: np.ndarray) -> Tensor:
    """Root mean square distance to the three nearest other points, outliers limited to 5 medians."""
    neighbours = min(4, len(positions))
    distances, _ = KDTree(positions).query(positions, k=neighbours)
    spacing = np.sqrt((distances[:, 1:] ** 2).mean(-1))
    return torch.from_numpy(np.minimum(spacing, 5 * np.median(spacing))).float()


def _common_frustum(cameras: list[Camera], count: int, generator: torch.Generator) -> Float[Tensor, "count 3"]:
    """Random points that at least half of the cameras see, uniform over pixels and inverse depth."""
    distance = extent_of(cameras)
    kept: list[Tensor] = []
    for _ in range(100):
        kept.append(_seen_by_half(_rays(cameras, count, distance, generator), cameras))
        if sum(map(len, kept)) >= count:
            return torch.cat(kept)[:count]
    if sum(map(len, kept)) == 0:
        raise CaptureError("The cameras look at nothing in common: give a capture with sparse points.")
    return torch.cat(kept)


def _rays(cameras: list[Camera], count: int, distance: float, generator: torch.Generator) -> Tensor:
    """Points in front of every camera, from 0.3 to 10 times `distance` away."""
    each = count // len(cameras) + 1
    points = []
    for camera in cameras:
        pixels = torch.rand(each, 2, generator=generator) * torch.tensor([camera.width, camera.height])
        inverse = 0.1 + (1 / 0.3 - 0.1) * torch.rand(each, generator=generator)
        points.append(camera.to("cpu").unproject(pixels, distance / inverse))
    return torch.cat(points)


def _seen_by_half(points: Tensor, cameras: list[Camera]) -> Tensor:
    seen = torch.zeros(len(points))
    for camera in cameras:
        seen += camera.to("cpu").frames(points)[0]
    return points[seen >= len(cameras) / 2]
