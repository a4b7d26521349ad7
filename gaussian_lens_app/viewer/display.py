"""The session's scene as pictures for a browser, with the selection tinted."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from gaussian_lens_app.scene import SH_C0, Camera, Gaussians, Region
from gaussian_lens_app.session import Session
from gaussian_lens_app.viewer.host import ClientView

TINT = (1.0, 0.62, 0.1)
"""Amber stands out from foliage, stone and skin alike."""
TINT_STRENGTH = 0.45


class Display:
    """Draws what the session holds; a swapped scene shows in the next frame."""

    def __init__(self, session: Session):
        self.session = session
        self.changed: Callable[[], None] = lambda: None
        """Called when the same scene is to be shown differently."""
        self.tint_selection = True
        self._untinted: Region | None = None
        self._drawn: tuple[object, object, Gaussians] | None = None

    def __call__(self, view: ClientView, size: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
        """The picture a browser's camera sees."""
        scene = self.scene_shown()
        camera = camera_of(view, size).to(scene.device)
        with torch.inference_mode():
            rgb = self.session.rasterizer.render(scene, camera, mode=self.session.mode).rgb
        return _as_bytes(rgb) if rgb.device.type == "cpu" else (rgb.clamp(0, 1) * 255 + 0.5).byte().cpu().numpy()

    def set_tint(self, on: bool) -> None:
        self.tint_selection = on
        self.changed()

    def untint(self, region: Region | None) -> None:
        """Show this region as it is, though it is selected."""
        self._untinted = region
        self.changed()

    def set_antialiased(self, on: bool) -> None:
        self.session.mode = dataclasses.replace(self.session.mode, antialiased=on)
        self.changed()

    def scene_shown(self) -> Gaussians:
        """The scene, tinted where it is selected; kept until either changes."""
        scene, selection = self.session.scene, self.session.selection
        region = selection.region if selection is not None and self.tint_selection else None
        if region is None or region is self._untinted or len(region.selected) != len(scene):
            return scene
        kept = self._drawn
        if kept is None or kept[0] is not scene or kept[1] is not region:
            kept = self._drawn = (scene, region, tinted(scene, region.selected))
        return kept[2]


def _as_bytes(rgb: Float[Tensor, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """0..1 as 0..255. On one thread: torch would share so small a work out, and beside a job its threads wait longer
    for each other than the work takes."""
    scaled = rgb.numpy() * np.float32(255)
    scaled += np.float32(0.5)
    return np.clip(scaled, 0, 255, out=scaled).astype(np.uint8)


def tinted(scene: Gaussians, selected: Bool[Tensor, "N"]) -> Gaussians:
    """The scene with the selected Gaussians' colours mixed with TINT, seen from any side.

    Colour is 0.5 + SH_C0 * sh0 + (terms linear in shN), so mixing colours is mixing coefficients.
    """
    selected = selected.to(scene.device)
    tint = (scene.sh0.new_tensor(TINT) - 0.5) / SH_C0
    sh0, shN = scene.sh0.clone(), scene.shN.clone()
    sh0[selected] = (1 - TINT_STRENGTH) * sh0[selected] + TINT_STRENGTH * tint
    shN[selected] = (1 - TINT_STRENGTH) * shN[selected]
    return dataclasses.replace(scene, sh0=sh0, shN=shN)


def camera_of(view: ClientView, size: tuple[int, int]) -> Camera:
    """A browser's camera sampled with width x height pixels; its field of view is the vertical one."""
    width, height = size
    focal = height / (2 * math.tan(view.fov / 2))
    K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float32)
    viewmat = torch.from_numpy(np.linalg.inv(view.c2w)).float()
    return Camera(viewmat, K, width, height)
