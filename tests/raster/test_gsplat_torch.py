"""scripts/gsplat_torch.py: what the comparison calls gsplat's torch path draws the same picture."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from blobs import blobs, camera, relative_error

from gaussian_lens_app.raster import Rasterizer

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def test_gsplats_torch_path_draws_the_same_picture_and_gradients(cpu: Rasterizer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.delitem(sys.modules, "nerfacc", raising=False)
    import gsplat_torch

    leaves = [blobs(200, 2, dtype=torch.float32).map(lambda tensor: tensor.clone().requires_grad_()) for _ in range(2)]
    theirs, alpha = gsplat_torch.render(leaves[0], camera())
    ours = cpu.render(leaves[1], camera())
    assert relative_error(theirs[..., :3], ours.rgb) < 1e-4
    assert relative_error(alpha, ours.alpha) < 1e-4
    theirs[..., :3].sum().backward()
    ours.rgb.sum().backward()
    assert relative_error(leaves[0].means.grad, leaves[1].means.grad) < 1e-3
    monkeypatch.delitem(sys.modules, "nerfacc")
