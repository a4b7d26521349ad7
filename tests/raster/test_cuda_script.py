"""scripts/cuda: one table on a machine with a GPU, one sentence on one without."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest
import torch
from programs import SCRIPTS, program

SCRIPT = SCRIPTS / "cuda"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return program("cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_it_says_so_and_ends_well():
    run = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("\n") == 1
    assert "No CUDA device" in run.stdout


def test_a_missed_bar_is_told_either_way_round(script: ModuleType):
    assert script.Line("overhead", 4.9, 5, "%").met
    assert "| NO |" in str(script.Line("overhead", 5.1, 5, "%"))
    assert script.Line("viewer", 61, 60, "frames/s", at_most=False).met
    assert "| NO |" in str(script.Line("viewer", 59, 60, "frames/s", at_most=False))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is visible to torch")
def test_gsplats_front_door_draws_what_cuda_py_draws(script: ModuleType):
    from gaussian_lens_app.raster.cuda import CudaRasterizer

    scene, camera = script.benchmark_scene(5000, 128, 2)
    scene, camera = scene.to("cuda"), camera.to("cuda")
    theirs, ours = script.raw_gsplat(scene, camera), CudaRasterizer().render(scene, camera)
    torch.testing.assert_close(theirs[..., :3], ours.rgb, atol=2e-3, rtol=0)
