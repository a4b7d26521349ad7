"""Boxes as frames in the scene, where what they show is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import viser
from jaxtyping import Float

from gaussian_lens_app.raster import Rasterizer, RenderMode
from gaussian_lens_app.scene import Box, Gaussians
from gaussian_lens_app.select import box_depth

NAME = "/selected_box"
REGION = "/region_box"
SUGGESTED = "/suggested_box"
COLOR = (255, 176, 32)
REGION_COLOR = (255, 255, 255)
SUGGESTED_COLOR = (90, 200, 255)
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
    depth = box_depth(scene, box, rasterizer, mode)
    if depth is None:
        return None
    pixels = torch.tensor([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=torch.float32)
    corners = box.camera.to("cpu").unproject(pixels, torch.full((4,), depth))
    return Target(corners.numpy(), box.camera.forward.cpu().numpy())


def show_outline(server: viser.ViserServer, target: Target, unit: float, name: str = NAME, color=COLOR) -> None:
    """Draw the frame over the picture, in every browser."""
    corners = target.corners / unit
    segments = np.stack([corners, np.roll(corners, -1, axis=0)], axis=1).astype(np.float32)
    server.scene.add_line_segments(name, segments, color, thickness=THICKNESS, thickness_units="screen")


def hide_outline(server: viser.ViserServer) -> None:
    server.scene.remove_by_name(NAME)


def show_region(server: viser.ViserServer, target: Target, unit: float) -> None:
    """The frame of an upgrade that somebody flew to: not the box that *Upgrade* is about."""
    show_outline(server, target, unit, REGION, REGION_COLOR)


def hide_region(server: viser.ViserServer) -> None:
    server.scene.remove_by_name(REGION)


def show_suggestion(
    server: viser.ViserServer, number: int, target: Target, unit: float, taken: Callable[[viser.ClientHandle], None]
) -> None:
    """A numbered pane over the picture; `taken(browser)` hears of a click on it."""
    name = f"{SUGGESTED}/{number}"
    show_outline(server, target, unit, f"{name}/frame", SUGGESTED_COLOR)
    corners = (target.corners / unit).astype(np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], dtype=np.uint32)
    pane = server.scene.add_mesh_simple(
        f"{name}/pane", corners, faces, color=SUGGESTED_COLOR, opacity=0.12, side="double", cast_shadow=False
    )
    pane.on_click(lambda event: taken(event.client))
    server.scene.add_label(f"{name}/label", str(number), position=tuple(corners[0]))


def hide_suggestions(server: viser.ViserServer) -> None:
    server.scene.remove_by_name(SUGGESTED)
