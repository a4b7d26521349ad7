"""scripts/benchmark_raster: its table, and the guard against lost SIMD."""

from __future__ import annotations

import json
import subprocess
import sys
from types import ModuleType

import pytest
from programs import SCRIPTS, program

SCRIPT = SCRIPTS / "benchmark_raster"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    return program("benchmark_raster")


def row(benchmark: ModuleType, of_ceiling: float, size: int = 512):
    return benchmark.Row(100_000, size, 0, 20.0, 30.0, 10.0, 200_000, 1e9, of_ceiling)


def test_slow_blending_at_the_guarded_size_is_lost_simd(benchmark: ModuleType):
    assert benchmark.lost_simd(row(benchmark, 0.8), 16.0, 1.0) == []
    assert "ceiling" in benchmark.lost_simd(row(benchmark, 0.1), 16.0, 1.0)[0]
    assert benchmark.lost_simd(row(benchmark, 0.1, size=256), 16.0, 1.0) == []


def test_vectors_no_faster_than_scalars_are_lost_simd(benchmark: ModuleType):
    assert "vectors" in benchmark.lost_simd(row(benchmark, 0.8), 1.5, 1.0)[0]


def test_the_benchmark_writes_what_it_measured(tmp_path: Path):
    arguments = ["--counts", "2000", "--sizes", "64", "--degrees", "1", "--repeats", "1", "--own-scene"]
    run = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments, "--json", str(tmp_path / "r.json")], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["vector_ceiling"] > report["scalar_ceiling"] > 0
    (measured,) = report["rows"]
    assert measured["sh_degree"] == 1
    assert measured["intersections"] > 0
    assert min(measured[name] for name in ("forward_ms", "backward_ms", "blend_ms", "of_ceiling")) > 0
