"""The dragged box as a frame in the scene, where what it shows is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import viser
from jaxtyping import Float

from gaussian_lens_app.raster import Rasterizer, RenderMode
from gaussian_lens_app.scene import Box, Gaussians

NAME = "/selected_box"
COLOR = (255, 176, 32)
THICKNESS = 2.5
"""Pixels."""


@dataclass(frozen=True, eq=False)
class Target:
    """A box set at the depth of what it shows."""

    corners: Float[np.ndarray, "4 3"]
    """World positions, in turn around the box."""
    forward: Float[np.ndarray, "3"]

    @property
    def centre(self) -> Float[np.ndarray, "3"]:
        return self.corners.mean(0)

    @property
    def width(self) -> float:
        return float(np.linalg.norm(self.corners[1] - self.corners[0]))

    @property
    def height(self) -> float:
        return float(np.linalg.norm(self.corners[3] - self.corners[0]))


def locate(scene: Gaussians, box: Box, rasterizer: Rasterizer, mode: RenderMode) -> Target | None:
    """Where the box is in the world: at the median depth of what it shows; None when it shows nothing."""
    x0, y0, x1, y1 = box.rect
    with torch.inference_mode():
        depth = rasterizer.render(scene, box.camera.to(scene.device), mode=mode, crop=box.rect).median_depth
    drawn = depth[depth > 0]
    if len(drawn) == 0:
        return None
    pixels = torch.tensor([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=torch.float32)
    corners = box.camera.to("cpu").unproject(pixels, torch.full((4,), float(drawn.median())))
    return Target(corners.numpy(), box.camera.forward.cpu().numpy())


def show_outline(server: viser.ViserServer, target: Target) -> None:
    """Draw the frame over the picture, in every browser."""
    corners = target.corners
    segments = np.stack([corners, np.roll(corners, -1, axis=0)], axis=1).astype(np.float32)
    server.scene.add_line_segments(NAME, segments, COLOR, thickness=THICKNESS, thickness_units="screen")


def hide_outline(server: viser.ViserServer) -> None:
    server.scene.remove_by_name(NAME)
