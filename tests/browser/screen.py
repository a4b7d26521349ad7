"""A real Chromium looking at a real server: its picture, its panel, its mouse."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from playwright.sync_api import Locator, Page

FLAGS = [
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

SIZE = (1100, 700)
"""Width and height of the window."""

Corners = tuple[int, int, int, int]
"""x0, y0, x1, y1 in window pixels."""


def chromium_path() -> str | None:
    """The system's Chromium, if there is one."""
    found = [path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))]
    return found[0] if found else None


@dataclass
class Screen:
    """One page."""

    page: Page
    at_rest: Callable[[], bool] = lambda: True
    """Whether the server has sent every picture that was asked for."""

    def open(self, url: str) -> None:
        """Open the viewer and wait for its first picture. The pixel ratio is fixed: software GL would lower it."""
        self.page.goto(f"{url}/?fixedDpr=1")
        self.page.get_by_text("Select region").first.wait_for(timeout=30_000)
        self._dismiss_software_warning()
        self.settled()

    @property
    def canvas(self) -> Corners:
        """Where the picture is: left of the panel."""
        box = self.page.locator("canvas").first.bounding_box()
        assert box is not None
        return round(box["x"]), round(box["y"]), round(box["x"] + box["width"]), round(box["y"] + box["height"])

    def shot(self) -> np.ndarray:
        """The picture as (h, w, 3) floats in 0..1."""
        x0, y0, x1, y1 = self.canvas
        png = self.page.screenshot(clip={"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0})
        return iio.imread(io.BytesIO(png))[..., :3] / 255.0

    def settled(self, timeout: float = 30) -> np.ndarray:
        """The picture once something is drawn, all that was asked for was sent, and it has stopped changing."""
        end, last = time.monotonic() + timeout, None
        while time.monotonic() < end:
            time.sleep(0.5)
            if not self.at_rest():  # a busy machine draws later than the next look
                last = None
                continue
            now = self.shot()
            if last is not None and last.shape == now.shape and np.abs(now - last).max() < 0.02 and now.std() > 0.03:
                return now
            last = now
        raise AssertionError("The picture never came to rest.")

    def drag(self, box: Corners, shift: bool = True) -> None:
        """Drag a box over the picture, corner to corner."""
        mouse, keyboard = self.page.mouse, self.page.keyboard
        if shift:
            keyboard.down("Shift")
        mouse.move(box[0], box[1])
        mouse.down()
        mouse.move((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, steps=4)
        mouse.move(box[2], box[3], steps=4)
        mouse.up()
        if shift:
            keyboard.up("Shift")

    def button(self, label: str) -> Locator:
        return self.page.get_by_role("button", name=label, exact=True)

    def press(self, label: str) -> None:
        """Click a button once it has stopped moving: the folder above it may just be opening."""
        button = self.button(label)
        button.wait_for(timeout=15_000)
        end, last = time.monotonic() + 5, None
        while (place := button.bounding_box()) != last and time.monotonic() < end:
            last = place
            time.sleep(0.15)
        button.click(timeout=15_000)

    def tab(self, label: str) -> None:
        self.page.get_by_role("tab", name=label).click()

    def key(self, key: str) -> None:
        """Press a key as somebody whose cursor is in no field."""
        self.page.evaluate("document.activeElement?.blur()") if key != "Enter" else None
        self.page.keyboard.press(key)

    def choose(self, label: str, option: str) -> None:
        """Choose from a menu."""
        self.page.get_by_label(label, exact=True).locator("visible=true").first.click()
        self.page.get_by_role("option", name=option, exact=True).click()

    def number(self, label: str, value: str) -> None:
        """Type a number beside a slider."""
        row = self.page.get_by_text(label, exact=True).locator("xpath=ancestor::*[.//input][1]")
        row.locator("input:not([type=hidden])").last.fill(value)
        self.page.keyboard.press("Enter")

    def until(self, condition: Callable[[], bool], timeout: float = 20) -> None:
        """Wait until something has happened on the server."""
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.05)

    def window(self) -> np.ndarray:
        """The whole window as (h, w, 3) floats in 0..1."""
        return iio.imread(io.BytesIO(self.page.screenshot()))[..., :3] / 255.0

    def sees(self, text: str, timeout: float = 30) -> None:
        """Wait until the page says so."""
        self.page.get_by_text(text).first.wait_for(timeout=timeout * 1000)

    def save(self, path: Path) -> None:
        """The whole window, as PNG or JPEG by the path's suffix."""
        path.parent.mkdir(parents=True, exist_ok=True)
        how: dict = {"type": "jpeg", "quality": 88} if path.suffix == ".jpg" else {}
        self.page.screenshot(path=str(path), **how)

    def _dismiss_software_warning(self) -> None:
        warning = self.page.get_by_text("Software WebGL rendering detected")
        if warning.count():
            self.page.locator(".mantine-Notification-closeButton").first.click()


def inside(picture: np.ndarray, box: Corners, margin: int = 6) -> np.ndarray:
    """What is in the box, less its outline."""
    x0, y0, x1, y1 = box
    return picture[y0 + margin : y1 - margin, x0 + margin : x1 - margin]


def outside(picture: np.ndarray, box: Corners, margin: int = 6) -> np.ndarray:
    """The pixels (n, 3) around the box, less its outline."""
    x0, y0, x1, y1 = box
    keep = np.ones(picture.shape[:2], dtype=bool)
    keep[max(0, y0 - margin) : y1 + margin, max(0, x0 - margin) : x1 + margin] = False
    return picture[keep]
