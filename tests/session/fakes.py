"""Upgrades made up for tests: whatever patch a test wants, judged as it wants."""

from __future__ import annotations

import threading
from collections.abc import Callable

import torch
from scenes import camera_at

from gaussian_lens_app.evaluation.judge import Verdict
from gaussian_lens_app.scene import Box, Gaussians, Patch, Region
from gaussian_lens_app.session import Session
from gaussian_lens_app.upgrade import UpgradeRequest, UpgradeResult

BOX = Box(camera_at(0.0), (40, 40, 80, 80))
GOOD = Verdict(True, True, 2.0, 0.2, "photo_02.png", "Better by 2.0 dB on photo_02.png.")
BAD = Verdict(False, True, -1.0, 0.2, "photo_02.png", "Worse by 1.0 dB on photo_02.png.")


def random_scene(count: int, sh_degree: int = 0, seed: int = 0) -> Gaussians:
    """Gaussians whose every number differs, so that a row out of place shows."""
    generator = torch.Generator().manual_seed(seed)
    bands = (sh_degree + 1) ** 2 - 1
    shapes = [(count, 3), (count, 4), (count, 3), (count,), (count, 1, 3), (count, bands, 3)]
    return Gaussians(*(torch.randn(shape, generator=generator) for shape in shapes))


def same_bits(a: Gaussians, b: Gaussians) -> bool:
    return all(torch.equal(x, y) for (_, x), (_, y) in zip(a.tensors(), b.tensors(), strict=True))


def patch_of(removed: list[int], added: Gaussians, parents: list[int] | None = None) -> Patch:
    parents = [-1] * len(added) if parents is None else parents
    return Patch(torch.tensor(removed, dtype=torch.long), added, torch.tensor(parents, dtype=torch.long))


def result_of(scene: Gaussians, patch: Patch, verdict: Verdict = GOOD, selected: list[int] | None = None):
    mask = torch.zeros(len(scene), dtype=torch.bool)
    mask[patch.removed if selected is None else torch.tensor(selected, dtype=torch.long)] = True
    return UpgradeResult(patch, Region(mask, mask.float()), verdict, {"select": 0.1, "method": 0.2, "judge": 0.1})


class Scripted:
    """An `upgrade` that gives out prepared results in turn."""

    def __init__(self, *makers: Callable[[UpgradeRequest], UpgradeResult]):
        self.makers = list(makers)
        self.requests: list[UpgradeRequest] = []

    def __call__(self, request: UpgradeRequest, report) -> UpgradeResult:
        self.requests.append(request)
        report("Working", 0.5)
        return self.makers.pop(0)(request)


class Gated:
    """An `upgrade` that waits for the test before it answers."""

    def __init__(self, make: Callable[[UpgradeRequest], UpgradeResult]):
        self.make, self.begun, self.gate = make, threading.Event(), threading.Event()

    def __call__(self, request: UpgradeRequest, report) -> UpgradeResult:
        self.begun.set()
        while not self.gate.wait(0.05):
            report("Waiting", 0.3)
        return self.make(request)


def everything(scene, box, capture, rasterizer, *, mode, through=False) -> Region:
    """A `select` that finds the whole scene in any box."""
    return Region(torch.ones(len(scene), dtype=torch.bool), torch.ones(len(scene)))


def session_of(scene: Gaussians, upgrade=None, select=everything, **kwargs) -> Session:
    return Session(scene, rasterizer=None, upgrade=upgrade or Scripted(), select=select, **kwargs)


class InTurn:
    """An `upgrade` that hands each request to the next of several."""

    def __init__(self, *upgrades: Callable):
        self.upgrades = list(upgrades)

    def __call__(self, request: UpgradeRequest, report) -> UpgradeResult:
        return self.upgrades.pop(0)(request, report)
