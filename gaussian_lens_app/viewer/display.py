"""The session's scene as frames for a browser."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from gaussian_lens_app.scene import Camera, Region
from gaussian_lens_app.session import Session
from gaussian_lens_app.session.looks import Looks, Marks
from gaussian_lens_app.session.marking import Marking
from gaussian_lens_app.session.painting import Painter
from gaussian_lens_app.session.photo_overlay import at_photo
from gaussian_lens_app.viewer.host import ClientView

CAPTION_HEIGHT = 1 / 40
"""Of the picture."""


class Display:
    """Draws what the session holds; a swapped scene shows in the next frame."""

    def __init__(self, session: Session, distance: float = 1.0):
        """`distance`: world units to what is looked at, a measure of what is near."""
        self.session, self.distance = session, distance
        self.looks = Looks()
        self._setting = threading.Lock()
        self.changed: Callable[[], None] = lambda: None
        """Called when the same scene is to be shown differently."""
        self.marking = Marking(session, self._wanted_marks, lambda: self.changed())
        self.painter = Painter(session, self.marking.amount)

    def __call__(self, view: ClientView, size: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
        """The picture a browser's camera sees."""
        camera = camera_of(view, size)
        looks = self.looks_for(camera)
        picture = self.painter.paint(camera, looks, moving=view.moving, finest=view.finest)
        return captioned(_as_bytes(picture), looks)

    def looks_for(self, camera: Camera) -> Looks:
        """How a picture of this camera looks: a photo lies over it only where the camera stands at the photo."""
        looks = self.looks
        over = looks.photo is not None and self.at_photo(camera, looks.photo)
        return looks if over else dataclasses.replace(looks, photo=None)

    def has_finer(self, view: ClientView) -> bool:
        """Whether more time would give a better picture: splats are smaller than its pixels."""
        return self.painter.has_finer(camera_of(view, (view.width, view.height)), self.looks)

    def at_photo(self, camera: Camera, index: int) -> bool:
        """Whether the camera stands at that photo's place."""
        capture = self.session.capture
        return capture is not None and at_photo(camera, capture.photos[index], self.distance)

    def point_at(self, camera: Camera, x: float, y: float) -> Float[np.ndarray, "3"] | None:
        """World position of what is drawn at a pixel; None where nothing is."""
        x0, y0 = int(x), int(y)
        with torch.inference_mode():
            there = camera.to(self.session.scene.device)
            crop = (x0, y0, x0 + 1, y0 + 1)
            drawn = self.session.rasterizer.render(self.session.scene, there, mode=self.session.mode, crop=crop)
        depth = drawn.median_depth.reshape(1).cpu()
        if float(depth) <= 0:
            return None
        return camera.to("cpu").unproject(torch.tensor([[x, y]]), depth)[0].double().numpy()

    def set(self, **changes: Any) -> None:
        """Show it differently, in every browser."""
        with self._setting:  # of two at once both count
            self.looks = dataclasses.replace(self.looks, **changes)
        if not self.looks.missing:
            self.marking.stop()
        self.changed()

    def _wanted_marks(self) -> Marks | None:
        looks = self.looks
        return looks.marks if looks.missing else None

    def set_tint(self, on: bool) -> None:
        self.set(tint_selection=on)

    def untint(self, region: Region | None) -> None:
        """Show this region as it is, though it is selected."""
        self.painter.untinted = region
        self.changed()

    def set_antialiased(self, on: bool) -> None:
        self.session.mode = dataclasses.replace(self.session.mode, antialiased=on)
        self.changed()


def captioned(image: UInt8[np.ndarray, "h w 3"], looks: Looks) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with a word in its corners where it does not show the scene as it is now."""
    if looks.split is None and not looks.before:
        return image
    height, width = image.shape[:2]
    picture = Image.fromarray(image)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(max(10, round(height * CAPTION_HEIGHT)))
    edge = round(height * CAPTION_HEIGHT)
    if looks.split is None:
        _write(draw, (edge, edge), "la", "before", font)
    else:
        at = round(looks.split * width)
        _write(draw, (at - edge, edge), "ra", "before", font)
        _write(draw, (at + edge, edge), "la", "after", font)
    return np.asarray(picture)


def _write(draw: ImageDraw.ImageDraw, at: tuple[int, int], anchor: str, text: str, font: Any) -> None:
    draw.text(
        at, text, (255, 255, 255), font, anchor=anchor, stroke_width=max(1, font.size // 8), stroke_fill=(0, 0, 0)
    )


def _as_bytes(rgb: Float[Tensor, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """0..1 as 0..255. On a processor on one thread: torch would share so small a work out, and beside a job its threads
    wait longer for each other than the work takes."""
    if rgb.device.type != "cpu":
        return (rgb.clamp(0, 1) * 255 + 0.5).byte().cpu().numpy()
    scaled = rgb.numpy() * np.float32(255)
    scaled += np.float32(0.5)
    return np.clip(scaled, 0, 255, out=scaled).astype(np.uint8)


def camera_of(view: ClientView, size: tuple[int, int]) -> Camera:
    """A browser's camera sampled with width x height pixels; its field of view is the vertical one."""
    width, height = size
    focal = height / (2 * math.tan(view.fov / 2))
    K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float32)
    viewmat = torch.from_numpy(np.linalg.inv(view.c2w)).float()
    return Camera(viewmat, K, width, height)
