"""A rasterizer with nothing to compute: every pixel has the colour of the first Gaussian."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import numpy as np
import torch

from gaussian_lens_app.evaluation.judge import Verdict
from gaussian_lens_app.raster import Render
from gaussian_lens_app.scene import SH_C0, Gaussians, Patch, Region
from gaussian_lens_app.session import Session
from gaussian_lens_app.upgrade import UpgradeResult
from gaussian_lens_app.viewer import View
from gaussian_lens_app.viewer.scripted import ScriptedBrowser


class Flat:
    """Paints one colour; `error` is raised instead while it is set."""

    name = "flat"

    def __init__(self):
        self.error: Exception | None = None
        self.sizes: list[tuple[int, int]] = []

    def render(self, scene, camera, *, crop=None, **_):
        if self.error is not None:
            raise self.error
        x0, y0, x1, y1 = crop or camera.rect
        size = (y1 - y0, x1 - x0)
        self.sizes.append((size[1], size[0]))
        color = (0.5 + SH_C0 * scene.sh0[0, 0]).clamp(0, 1)
        one = torch.ones(size)
        return Render(color.expand(*size, 3), one, one, one)


def dot(color: tuple[float, float, float]) -> Gaussians:
    """A scene of one Gaussian of that colour."""
    sh0 = ((torch.tensor(color) - 0.5) / SH_C0).view(1, 1, 3)
    means, quats = torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[1.0, 0, 0, 0]])
    return Gaussians(means, quats, torch.zeros(1, 3), torch.zeros(1), sh0, torch.zeros(1, 0, 3))


def repainting(color: tuple[float, float, float], accepted: bool = True):
    """An `upgrade` that puts a dot of another colour in the place of the first."""

    def upgrade(request, report):
        report("Painting", 0.5)
        patch = Patch(torch.tensor([0]), dot(color), torch.tensor([0]))
        verdict = Verdict(accepted, True, 1.0, 0.1, "a.png", "It is another colour.")
        return UpgradeResult(patch, Region(torch.tensor([True]), torch.ones(1)), verdict, {"method": 0.1})

    return upgrade


def flat_session(color=(0.8, 0.2, 0.2), becomes=(0.2, 0.8, 0.2), accepted: bool = True) -> tuple[Session, Flat]:
    rasterizer = Flat()

    def select(scene, box, capture, rasterizer, *, mode, through=False):
        return Region(torch.ones(len(scene), dtype=torch.bool), torch.ones(len(scene)))

    session = Session(dot(color), rasterizer=rasterizer, upgrade=repainting(becomes, accepted), select=select)
    return session, rasterizer


def soon(condition, seconds=5.0) -> bool:
    """Whether it comes true in time."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


@contextlib.contextmanager
def served() -> Iterator[View]:
    """A viewer of a flat session on a free port."""
    session, _ = flat_session()
    viewer = View(session, port=0)
    yield viewer
    viewer.stop()
    session.close()


def still_serves(viewer: View) -> None:
    """Someone new gets a picture."""
    with ScriptedBrowser(viewer.url, 320, 240) as browser:
        browser.look(np.array([0.0, 0.0, -3.0]), np.zeros(3))
        frame = browser.frame(10)
        assert frame is not None
        assert frame.pixels().mean() > 20
