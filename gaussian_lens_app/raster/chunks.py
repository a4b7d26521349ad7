"""Gaussians in chunks of neighbours: which of them can show in a window, without looking at each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gaussian_lens_app.raster.base import ALPHA_MIN, FRUSTUM_MARGIN, NEAR, RenderMode
from gaussian_lens_app.scene import Camera, Gaussians, Rect
from gaussian_lens_app.scene.morton import even_cells, morton_codes

CHUNK = 512
"""Gaussians a chunk: a scene of three million has six thousand chunks."""
CELLS = 1 << 8
"""Slabs along each axis of the grid whose Morton curve puts neighbours side by side."""
WORTH = 0.3
CODE_BITS = 48
LARGE = math.log(4)
"""Gaussians that differ by so much in the log of their size are not put into one chunk: it would reach as far as its
largest one."""
REACH = math.sqrt(2 * math.log(1 / ALPHA_MIN))
"""Standard deviations beyond which no Gaussian is drawn, however opaque."""


@dataclass(frozen=True, eq=False)
class Chunks:
    """A scene's rows along a space-filling curve, cut into chunks, with the bounds of each."""

    rows: Int[Tensor, "C*S"]
    """Rows of the scene; the last one is repeated to fill the last chunk."""
    centres: Float[Tensor, "C 3"]
    """Middle of the box around a chunk's means, world units."""
    halves: Float[Tensor, "C 3"]
    """Half its sides."""
    sigmas: Float[Tensor, "C"]
    """Largest standard deviation in the chunk."""
    count: int
    """Rows of the scene."""

    @staticmethod
    def of(scene: Gaussians, size: int = CHUNK) -> Chunks:
        """Chunks of so many rows each."""
        with torch.no_grad():
            means = scene.means.detach()
            sizes = scene.log_scales.detach().amax(1)
            rows = (morton_codes(even_cells(means, CELLS)) + (_size_classes(sizes) << CODE_BITS)).argsort()
            missing = -len(rows) % size
            rows = torch.cat([rows, rows[-1:].expand(missing)])
            grouped = means[rows].view(-1, size, 3)
            low, high = grouped.amin(1), grouped.amax(1)
            sigmas = sizes[rows].view(-1, size).amax(1).exp()
            return Chunks(rows, (low + high) / 2, (high - low) / 2, sigmas, len(means))

    def showing(self, camera: Camera, rect: Rect, mode: RenderMode) -> Int[Tensor, "V"] | None:
        """Rows, ascending, among which are all that show in a window of the camera; None when that is a good part of
        the scene, and picking them out would take as long as drawing saves."""
        chosen = self._may_show(camera, rect, mode)
        if int(chosen.sum()) > WORTH * len(chosen):
            return None
        showing = torch.zeros(self.count, dtype=torch.bool, device=self.rows.device)
        showing[self.rows.view(len(chosen), -1)[chosen].flatten()] = True
        return showing.nonzero()[:, 0]

    def _may_show(self, camera: Camera, rect: Rect, mode: RenderMode) -> Bool[Tensor, "C"]:
        """A splat reaches REACH * sqrt(|J|^2 sigma^2 + eps2d) pixels from its centre, |J| <= f/z * slope where the
        Jacobian is evaluated; times z/f that is linear in what is known of a chunk."""
        turn = camera.viewmat[:3, :3]
        centre = self.centres @ turn.T + camera.viewmat[:3, 3]
        half = self.halves @ turn.abs().T
        farthest = centre[:, 2] + half[:, 2]
        shown = farthest > NEAR
        spans = ((rect[0], rect[2], camera.width), (rect[1], rect[3], camera.height))
        for axis, (low, high, size) in enumerate(spans):
            focal, middle = float(camera.K[axis, axis]), float(camera.K[axis, 2])
            edges = (middle + FRUSTUM_MARGIN * size / 2, size - middle + FRUSTUM_MARGIN * size / 2)
            slope = math.sqrt(1 + (max(edges) / focal) ** 2)
            reach = REACH * slope * self.sigmas
            reach = reach + (REACH * math.sqrt(mode.eps2d) + 1) / focal * farthest.clamp_min(0)
            for edge, sign in ((low, 1), (high, -1)):
                tilt = (edge - middle) / focal
                distance = sign * (centre[:, axis] - tilt * centre[:, 2]) + half[:, axis] + abs(tilt) * half[:, 2]
                shown &= distance + reach > 0
        return shown


def _size_classes(log_sizes: Float[Tensor, "N"]) -> Int[Tensor, "N"]:
    """0 for those up to twice the median size, one more for each factor of four."""
    return ((log_sizes - log_sizes.median()) / LARGE + 0.5).floor().clamp(0, 7).long()
