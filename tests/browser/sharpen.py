"""An upgrade that knows the answer: it puts the true Gaussians in the place of the selected ones."""

from __future__ import annotations

import time

import torch
from scenes import Board

from gaussian_lens_app.evaluation.judge import Verdict
from gaussian_lens_app.scene import Patch
from gaussian_lens_app.select import select_region
from gaussian_lens_app.upgrade import UpgradeResult


def sharpening(board: Board, *, accepted: bool = True, seconds: float = 1.0):
    """An `upgrade` for sessions on that board; takes about `seconds`, reporting as work should."""

    def upgrade(request, report):
        steps = max(1, round(seconds / 0.1))
        for step in range(steps):
            report("Looking up the answer", step / steps)
            time.sleep(0.1)
        region = request.region or select_region(
            request.scene, request.box, request.capture, request.rasterizer, mode=request.mode
        )
        points, _ = request.box.camera.project(board.truth.means)
        x0, y0, x1, y1 = request.box.rect
        hit = (points[:, 0] >= x0) & (points[:, 0] < x1) & (points[:, 1] >= y0) & (points[:, 1] < y1)
        added = board.truth.take(hit & (board.truth.means[:, 2] == 0))
        removed = region.selected.nonzero()[:, 0]
        patch = Patch(removed, added, torch.full((len(added),), -1))
        sentence = "Better by 3.0 dB on photo_02.png." if accepted else "Worse by 1.0 dB on photo_02.png."
        verdict = Verdict(accepted, True, 3.0 if accepted else -1.0, 0.1, "photo_02.png", sentence)
        return UpgradeResult(patch, region, verdict, {"select": 0.1, "method": seconds, "judge": 0.1})

    return upgrade
