"""Two threads at once, the same result every time, kernels compiled once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from blobs import blobs, camera, outcome

from gaussian_lens_app.raster import Rasterizer
from gaussian_lens_app.raster.numba_kernels import (
    composite,
    composite_grad,
    projection,
    projection_grad,
    threads,
    tiles,
)
from gaussian_lens_app.raster.warmup import warm_up


def test_repeats_are_bit_identical(cpu: Rasterizer):
    scene = blobs(3000, 1)
    first, second = (outcome(cpu, scene, camera(200, 150)) for _ in range(2))
    assert torch.equal(first.render.rgb, second.render.rgb)
    for name, gradient in first.gradients.items():
        assert torch.equal(gradient, second.gradients[name]), name


def test_the_number_of_threads_changes_no_bit(cpu: Rasterizer, monkeypatch: pytest.MonkeyPatch):
    scene = blobs(3000, 1)
    many = outcome(cpu, scene, camera(200, 150))
    monkeypatch.setattr(threads, "thread_count", lambda: 1)
    one = outcome(cpu, scene, camera(200, 150))
    assert torch.equal(many.render.rgb, one.render.rgb)
    assert torch.equal(many.gradients["means"], one.gradients["means"])


def test_two_threads_may_render_at_once_while_torch_works(cpu: Rasterizer):
    scenes = [blobs(1500, 1, seed=seed) for seed in (1, 2)]
    alone = [outcome(cpu, scene, camera(200, 150)) for scene in scenes]
    failures: list[str] = []

    def work(index: int) -> None:
        for _ in range(5):
            found = outcome(cpu, scenes[index], camera(200, 150))
            torch.randn(200, 200) @ torch.randn(200, 200)
            if not torch.equal(found.render.rgb, alone[index].render.rgb):
                failures.append("picture")
            if not torch.equal(found.gradients["quats"], alone[index].gradients["quats"]):
                failures.append("gradient")

    workers = [threading.Thread(target=work, args=(index,)) for index in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert not any(worker.is_alive() for worker in workers)
    assert failures == []


def test_an_error_in_a_kernel_reaches_the_caller():
    def kernel(value, tickets):
        raise ValueError(value)

    with pytest.raises(ValueError, match="7"):
        threads.run(kernel, 7)


def test_every_kernel_is_compiled_for_one_signature(cpu: Rasterizer):
    """A second signature would compile for seconds in the middle of somebody's work."""
    outcome(cpu, blobs(50, 3), camera(), crop=(3, 3, 50, 40), trainable=torch.arange(50) < 9, sh_degree=2)
    cpu.render(blobs(20), camera())
    cpu.contributions(blobs(20), camera(), torch.ones(53, 70, 2))
    warm_up(lambda words: None)
    kernels = [
        *(projection.project, projection_grad.project_grad, composite.composite, composite.contribute),
        *(composite.sum_slots, composite_grad.composite_grad),
        *(tiles.depth_order, tiles.assign_slots, tiles.list_tiles, tiles.place_tiles, tiles.fill_lists),
    ]
    assert {kernel.py_func.__name__: len(kernel.signatures) for kernel in kernels} == {
        kernel.py_func.__name__: 1 for kernel in kernels
    }


def test_only_a_cold_cache_is_announced(tmp_path: Path):
    """In processes of their own, with the compiler off: what is said depends on the cache alone."""
    program = "from gaussian_lens_app.raster.numba_kernels.jit import is_cold; print(is_cold())"
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}

    def answer() -> str:
        return subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        ).stdout.strip()

    assert answer() == "True"
    (folder,) = (tmp_path / "gaussian_lens_app" / "kernels").iterdir()
    (folder / "kernel.nbi").touch()
    assert answer() == "False"
