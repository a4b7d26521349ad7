"""A newcomer's session on the demo, from the first look to the reopened project. Makes the tour's pictures."""

import os
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image
from screen import Screen, inside, outside

from gaussian_lens_app import formats
from gaussian_lens_app.commands.demo import DEMO_PHOTO
from gaussian_lens_app.session import Session, open_session
from gaussian_lens_app.session.project import new_project, open_project

pytestmark = pytest.mark.browser

DEMO = Path(__file__).parents[2] / "assets" / "demo"


@pytest.fixture
def demo() -> Session:
    if not (DEMO / "scene.ply").is_file():
        pytest.skip(f"The demo scene is not there: {DEMO / 'scene.ply'}.")
    session = open_session(DEMO / "scene.ply", DEMO, "cpu")
    session.ready_close_views().result()
    return session


@pytest.fixture
def pictures(request) -> Path:
    """docs/pictures when GSR_PICTURES=1 is set, so that a plain run of the tests changes no tracked file."""
    root = Path(request.config.rootpath)
    return root / "docs" / "pictures" if os.environ.get("GSR_PICTURES") else root / ".pytest_cache" / "screenshots"


def budget(screen: Screen, seconds: int) -> None:
    """The same result on a busy machine."""
    screen.page.get_by_text("More ways to upgrade").click()
    screen.number("Seconds", str(seconds))
    screen.page.get_by_text("More ways to upgrade").click()


def upgraded(screen: Screen, session: Session) -> None:
    """Press Upgrade and wait for the verdict; a refused one is applied, for what comes after."""
    steps = len(session.work.steps.done)
    screen.press("Upgrade")
    screen.sees("Fitting")
    screen.until(lambda: not session.busy, timeout=120)
    if len(session.work.steps.done) == steps:
        screen.press("Apply anyway")
        screen.until(lambda: len(session.work.steps.done) > steps)


def test_a_newcomers_session(opened, demo, pictures, tmp_path):
    project = new_project(tmp_path / "bananas", DEMO / "scene.ply", DEMO, demo)
    start = [photo.name.split(".")[0] for photo in demo.capture.photos].index(DEMO_PHOTO)
    screen = opened(demo, project=project, first_photo=start)
    before = screen.settled()
    screen.sees("Box what you care about")

    # Find what is blurred.
    screen.press("What is blurred here?")
    screen.button("Hide the marks").wait_for()
    screen.sees("blue boxes")
    marked = screen.settled()
    screen.save(pictures / "tour_1_blurred.jpg")
    assert np.abs(marked - before).mean() > 0.02

    # Box the sticker.
    box = (205, 165, 345, 300)
    assert screen.button("Show before").is_disabled()  # nothing is upgraded yet
    screen.drag(box)
    screen.sees("Gaussians selected")
    screen.button("What is blurred here?").wait_for()
    screen.sees("new Gaussians")
    assert not screen.page.get_by_text("Box what you care about").first.is_visible()
    screen.settled()
    screen.save(pictures / "tour_2_selected.jpg")
    budget(screen, 15)
    upgraded(screen, demo)
    after = screen.settled()
    assert np.abs(inside(after, box) - inside(before, box)).mean() > 0.01
    assert np.abs(outside(after, box, 60) - outside(before, box, 60)).mean() < 0.004

    # Compare, close up.
    screen.press("Zoom to box")
    screen.button("Fly back").wait_for()
    close_after = screen.settled()
    screen.key("x")
    screen.sees("Position")
    screen.settled()
    screen.save(pictures / "tour_3_compared.jpg")
    screen.key("x")

    # Undo, redo.
    screen.key("Control+z")
    screen.sees("Took back")
    close_before = screen.settled()
    screen.key("Control+Shift+Z")
    screen.sees("again")
    assert np.abs(screen.settled() - close_after).mean() < 0.004
    side_by_side(close_before, close_after, pictures / "before_after.png")
    screen.key("m")
    screen.sees("View 1")

    # A second place inside the first.
    screen.drag((250, 215, 460, 470))
    screen.sees("Gaussians selected")
    upgraded(screen, demo)
    screen.settled()
    screen.tab("Regions")
    screen.sees("inside Region 1")
    screen.save(pictures / "tour_4_regions.jpg")

    # Another view to keep, with its photo over it; a film between the two.
    screen.tab("Photos")
    screen.choose("Photo", "DSC_0436.jpg")
    screen.press("Go to its view")
    screen.settled()
    screen.key("f")
    screen.key("p")
    screen.settled()
    screen.save(pictures / "tour_5_photos.jpg")
    screen.key("p")
    screen.key("f")
    screen.key("m")
    screen.sees("View 2")
    screen.tab("View")
    screen.page.get_by_text("Screenshot and film").click()
    screen.choose("Film", "Along the bookmarks")
    screen.number("Film seconds", "1")
    screen.choose("Kind", ".gif")
    size = screen.page.locator('input[value="1920"]')
    size.fill("240")
    screen.key("Enter")
    screen.page.locator('input[value="1080"]').fill("160")
    screen.key("Enter")
    screen.press("Make the film")
    screen.sees("Film made", timeout=90)
    assert iio.imread(tmp_path / "scene.gif", index=...).shape[:3] == (24, 160, 240)

    # Export, and go on another day.
    screen.tab("Sharpen")
    screen.press("Export")
    screen.sees("in scene_edited.ply")
    exported = formats.load(tmp_path / "scene_edited.ply").gaussians
    assert len(exported) == len(demo.scene)
    again, project = open_project(tmp_path / "bananas", "cpu")
    reopened = opened(again, project=project)
    reopened.sees("saved in bananas")
    shown = reopened.settled()
    assert (
        np.abs(inside(shown, box) - inside(after, box)).mean() < np.abs(inside(before, box) - inside(after, box)).mean()
    )
    reopened.tab("Regions")
    reopened.sees("inside Region 1")
    reopened.tab("View")
    reopened.sees("Go there")
    reopened.save(pictures / "tour_6_reopened.jpg")
    assert [pose.name for pose in project.bookmarks] == ["View 1", "View 2"]


def side_by_side(before: np.ndarray, after: np.ndarray, path: Path) -> None:
    """The middles of two pictures with a thin line between them."""
    height, width = before.shape[:2]
    cut = slice(width // 2 - width // 3, width // 2 + width // 3)
    line = np.ones((height, 6, 3))
    pair = np.concatenate([before[:, cut], line, after[:, cut]], axis=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((pair * 255 + 0.5).astype(np.uint8)).save(path, optimize=True)
