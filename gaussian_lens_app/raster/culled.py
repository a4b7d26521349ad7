"""A rasterizer that looks only at the Gaussians that can show: work follows the window, not the scene."""

from __future__ import annotations

import enum
import threading
import weakref
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gaussian_lens_app.raster.base import ANTIALIASED, Rasterizer, Render, RenderMode
from gaussian_lens_app.raster.chunks import Chunks
from gaussian_lens_app.scene import Camera, Gaussians, Rect

LEAST = 150_000
"""Smaller scenes are drawn as they are: looking at each Gaussian takes 40 ns."""


class Culled:
    """The same pixels as `inner`, which gets the rows that may show where those are the smaller part.

    A scene's chunks are made when it is drawn for the second time, so that passing scenes (a step of an optimisation, a
    candidate that is judged once) cost nothing more; they go with the scene.
    """

    def __init__(self, inner: Rasterizer, least: int = LEAST):
        self.inner, self.least = inner, least
        self.name, self.device = inner.name, inner.device
        self._seen: weakref.WeakKeyDictionary[Gaussians, Chunks | _Progress] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        self._last: weakref.WeakKeyDictionary[Gaussians, _Shown] = weakref.WeakKeyDictionary()

    def render(
        self,
        scene: Gaussians,
        camera: Camera,
        *,
        mode: RenderMode = ANTIALIASED,
        crop: Rect | None = None,
        background: Float[Tensor, "3"] | None = None,
        features: Float[Tensor, "N F"] | None = None,
        probe: Float[Tensor, "N 4"] | None = None,
        sh_degree: int | None = None,
        trainable: Bool[Tensor, "N"] | None = None,
    ) -> Render:
        """The image of `scene`, see `base.Rasterizer`."""
        frozen = probe is None and not (torch.is_grad_enabled() and _asks(scene, features))
        shown = self._showing(scene, camera, crop, mode) if frozen else None
        if shown is not None:
            scene, features, trainable = shown.part, None if features is None else features[shown.rows], None
        return self.inner.render(
            scene, camera, mode=mode, crop=crop, background=background, features=features, probe=probe,
            sh_degree=sh_degree, trainable=trainable,
        )  # fmt: skip

    def contributions(
        self,
        scene: Gaussians,
        camera: Camera,
        weights: Float[Tensor, "h w M"],
        *,
        mode: RenderMode = ANTIALIASED,
        crop: Rect | None = None,
    ) -> Float[Tensor, "N M"]:
        """Each Gaussian's summed blending weight, see `base.Rasterizer`."""
        shown = self._showing(scene, camera, crop, mode)
        if shown is None:
            return self.inner.contributions(scene, camera, weights, mode=mode, crop=crop)
        sums = self.inner.contributions(shown.part, camera, weights, mode=mode, crop=crop)
        return sums.new_zeros(len(scene), sums.shape[1]).index_copy(0, shown.rows, sums)

    def _showing(self, scene: Gaussians, camera: Camera, crop: Rect | None, mode: RenderMode) -> _Shown | None:
        """What may show; None: look at all. The same window is often asked for twice, for its picture and for who
        makes it."""
        if len(scene) < self.least or (chunks := self._chunks(scene)) is None:
            return None
        window = (camera, crop or camera.rect, mode)
        with self._lock:
            last = self._last.get(scene)
        if last is not None and last.window == window:
            return last
        rows = chunks.showing(*window)
        if rows is None:
            return None
        shown = _Shown(window, rows, scene.take(rows))
        with self._lock:
            self._last[scene] = shown
        return shown

    def _chunks(self, scene: Gaussians) -> Chunks | None:
        """None on the first call for a scene, and while another thread makes its chunks: nobody waits for them."""
        with self._lock:
            known = self._seen.get(scene)
            if isinstance(known, Chunks):
                return known
            self._seen[scene] = _Progress.SEEN if known is None else _Progress.BEING_CUT
            if known is not _Progress.SEEN:
                return None
        made = None
        try:
            made = Chunks.of(scene)
        finally:
            with self._lock:
                self._seen[scene] = made or _Progress.SEEN  # where cutting failed, the next one tries again
        return made


@dataclass(frozen=True, eq=False)
class _Shown:
    """The part of a scene that may show in a window."""

    window: tuple[Camera, Rect, RenderMode]
    rows: Int[Tensor, "M"]
    part: Gaussians


class _Progress(enum.Enum):
    """How far a scene is that has no chunks yet."""

    SEEN = enum.auto()
    BEING_CUT = enum.auto()


def _asks(scene: Gaussians, features: Tensor | None) -> bool:
    """Whether gradients are wanted."""
    tensors = [tensor for _, tensor in scene.tensors()] + ([] if features is None else [features])
    return any(tensor.requires_grad for tensor in tensors)
