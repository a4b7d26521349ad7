"""A camera's intrinsics as a capture states them, distortion included, and the pinhole camera they become."""

from __future__ import annotations

import dataclasses
import signal
import sys
import threading
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import torch

from gaussian_lens_app.errors import BadFile, CaptureError
from gaussian_lens_app.scene import Camera

if TYPE_CHECKING:
    import pycolmap

_SMALLEST = 0.25
"""Less than this of a photo's side left by undistorting (COLMAP stops at 0.2): the parameters are nonsense."""
LARGEST_SIDE = 1 << 20
"""Pixels; no picture is as long."""


def colmap_library() -> ModuleType:
    """pycolmap, imported when a capture needs it (0.2 s and a second OpenMP), without its handler of SIGTERM.

    That one prints a stack trace, and a thread that holds a lock then keeps the process from ending.
    """
    known = "pycolmap" in sys.modules
    handler = signal.getsignal(signal.SIGTERM)
    import pycolmap

    if not known and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_DFL if handler is None else handler)
    return pycolmap


@dataclass(frozen=True)
class Lens:
    """Intrinsics under one of COLMAP's camera models; equal lenses compare equal."""

    model: str
    """COLMAP's name, such as PINHOLE or OPENCV_FISHEYE."""
    width: int
    height: int
    params: tuple[float, ...]
    """In COLMAP's order, pixels; the centre of the first pixel is at (0.5, 0.5)."""

    @property
    def pinhole(self) -> bool:
        """Whether straight lines stay straight, so that photos can be used as they are."""
        if self.model in ("PINHOLE", "SIMPLE_PINHOLE"):
            return True
        camera = self.colmap()  # FISHEYE counts as undistorted in COLMAP: it has no parameters to undo
        return camera.is_undistorted() and camera.is_perspective_pinhole()

    @property
    def K(self) -> np.ndarray:
        """(3, 3) intrinsics in pixels, without the distortion."""
        return self.colmap().calibration_matrix()

    def scaled(self, width: int, height: int) -> Lens:
        """The same lens for photos of another size; distortion does not depend on pixels."""
        camera = self.colmap()
        camera.rescale(width, height)
        return dataclasses.replace(self, width=width, height=height, params=tuple(map(float, camera.params)))

    def undistorted(self) -> Lens:
        """The pinhole lens that COLMAP would crop to, so that every pixel shows something."""
        if self.pinhole:
            fx, fy, cx, cy = self.K[[0, 1, 0, 1], [0, 1, 2, 2]].tolist()
            return Lens("PINHOLE", self.width, self.height, (fx, fy, cx, cy))
        pycolmap = colmap_library()
        camera = pycolmap.undistort_camera(pycolmap.UndistortCameraOptions(), self.colmap())
        if camera.width < _SMALLEST * self.width or camera.height < _SMALLEST * self.height:
            raise CaptureError(
                f"Undistorting {self.width}x{self.height} photos leaves {camera.width}x{camera.height} pixels: "
                f"the {self.model} parameters {', '.join(f'{p:g}' for p in self.params)} cannot be right."
            )
        return Lens("PINHOLE", camera.width, camera.height, tuple(map(float, camera.params)))

    def camera(self, viewmat: np.ndarray) -> Camera:
        """The scene's camera at a pose; only for pinhole lenses."""
        assert self.pinhole
        pose, K = (torch.from_numpy(np.asarray(m)).float() for m in (viewmat, self.K))
        return Camera(pose, K, self.width, self.height)

    def colmap(self) -> pycolmap.Camera:
        pycolmap = colmap_library()
        return pycolmap.Camera(model=self.model, width=self.width, height=self.height, params=list(self.params))


def checked_lens(model: str, width: int, height: int, params: tuple[float, ...], where: str) -> Lens:
    """A Lens that can be worked with; `where` names the file in the error."""
    pycolmap = colmap_library()
    if model not in pycolmap.CameraModelId.__members__ or model == "INVALID":
        raise BadFile(f"{where} has the unknown camera model {model!r}: convert it with COLMAP first.")
    if not (0 < width < LARGEST_SIDE and 0 < height < LARGEST_SIDE and np.isfinite(params).all()):
        raise BadFile(f"{where} has a camera of {width}x{height} pixels or with infinite parameters: it is damaged.")
    lens = Lens(model, width, height, params)
    camera = lens.colmap()
    if not camera.verify_params():
        raise BadFile(f"{where} gives {len(params)} parameters to a {model} camera: it is damaged.")
    if not camera.is_perspective():
        raise CaptureError(f"{where} has {model} photos, which no pinhole camera shows: cut views from them first.")
    if min(params[i] for i in camera.focal_length_idxs()) <= 0:
        raise BadFile(f"{where} has a camera whose focal length is not positive: it is damaged.")
    return lens


def model_of_id(number: int, where: str) -> tuple[str, int]:
    """(name, number of parameters) of COLMAP's numbered camera models."""
    pycolmap = colmap_library()
    try:
        model = pycolmap.CameraModelId(number)
        return model.name, len(pycolmap.Camera.create_from_model_id(1, model, 1.0, 2, 2).params)
    except (ValueError, RuntimeError) as error:
        raise BadFile(f"{where} has a camera of unknown model number {number}: it is damaged.") from error
