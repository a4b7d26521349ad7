"""The demo as a newcomer meets it: box the stickers, upgrade, look closely. Makes the README's pictures."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from screen import SIZE, Screen, inside, outside

from gaussian_lens_app.scene import Capture
from gaussian_lens_app.session import Session, open_session

pytestmark = pytest.mark.browser

DEMO = Path(__file__).parents[2] / "assets" / "demo"
STICKER = np.array([[0.365, 0.42], [0.48, 0.54]])
"""Two corners around the sticker and some spots, as shares of the first photo."""


@pytest.fixture
def demo() -> Session:
    if not (DEMO / "scene.ply").is_file():
        pytest.skip(f"The demo scene is not there: {DEMO / 'scene.ply'}.")
    return open_session(DEMO / "scene.ply", DEMO, "cpu")


@pytest.fixture
def pictures(request) -> Path:
    """docs/pictures when GSR_PICTURES=1 is set, so that a plain run of the tests changes no tracked file."""
    root = Path(request.config.rootpath)
    return root / "docs" / "pictures" if os.environ.get("GSR_PICTURES") else root / ".pytest_cache" / "screenshots"


def on_screen(capture: Capture, screen: Screen) -> tuple[int, int, int, int]:
    """The sticker's box in window pixels: the first view is the first photo's, with its height filled."""
    x0, y0, x1, y1 = screen.canvas
    camera = capture.photos[0].camera
    middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    corners = middle + (STICKER - 0.5) * [camera.width, camera.height] * (y1 - y0) / camera.height
    (left, top), (right, bottom) = corners.round().astype(int).tolist()
    return left, top, right, bottom


def test_the_demos_sticker_becomes_sharp_in_place_and_undo_gives_it_back(opened, demo, pictures):
    screen = opened(demo)
    box = on_screen(demo.capture, screen)
    before = screen.settled()
    screen.drag(box)
    screen.sees("Gaussians selected")
    screen.settled()
    screen.save(pictures / "selected.png")
    screen.page.locator('input:not([type=hidden])[value="4"]').fill("15")  # seconds: the same result on a busy machine
    screen.page.keyboard.press("Enter")
    screen.press("Upgrade")
    screen.sees("Fitting")
    screen.save(pictures / "during.png")
    screen.sees("Swapped in", timeout=120)
    after = screen.settled()
    assert np.abs(inside(after, box) - inside(before, box)).mean() > 0.01
    assert np.abs(outside(after, box, 60) - outside(before, box, 60)).mean() < 0.003
    outcome = demo.last
    assert outcome is not None
    assert outcome.verdict.gain_db > 0.5  # on a photo kept out of the fit

    screen.press("Zoom to box")
    screen.button("Fly back").wait_for()
    close_after = screen.settled()
    screen.save(pictures / "after.png")
    screen.press("Undo")
    screen.sees("Took back")
    close_before = screen.settled()
    screen.save(pictures / "before.png")
    side_by_side(close_before, close_after, pictures / "before_after.png")


def side_by_side(before: np.ndarray, after: np.ndarray, path: Path) -> None:
    """The middles of two pictures with a thin line between them."""
    height, width = before.shape[:2]
    cut = slice(width // 2 - width // 3, width // 2 + width // 3)
    line = np.ones((height, 6, 3))
    pair = np.concatenate([before[:, cut], line, after[:, cut]], axis=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((pair * 255 + 0.5).astype(np.uint8)).save(path, optimize=True)
    assert SIZE[1] == height
