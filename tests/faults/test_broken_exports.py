"""An export that breaks off leaves the old file or the new one, never half of either."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from exports import NEW, OLD, TARGETS, scene_of, standing

from gaussian_lens_app.errors import ExportError
from gaussian_lens_app.formats import save


@pytest.mark.parametrize("name", TARGETS)
def test_killed_at_any_line_the_target_is_the_old_scene_or_the_new(tmp_path, name):
    script = Path(__file__).with_name("killed_at_every_line.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), name], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines, old, new = map(int, done.stdout.split())
    assert old + new >= min(lines, 50)
    assert old > 0
    assert new > 0


@pytest.mark.parametrize("name", TARGETS)
def test_on_a_full_disk_the_old_scene_stays_and_nothing_else(tmp_path, name, small_files_only):
    save(tmp_path / name, scene_of(OLD))
    before = sorted(p.name for p in (tmp_path / name).parent.iterdir())
    with small_files_only(1024), pytest.raises(ExportError, match=r"was not written: .*unchanged"):
        save(tmp_path / name, scene_of(3000))
    assert sorted(p.name for p in (tmp_path / name).parent.iterdir()) == before
    assert standing(tmp_path / name) == OLD


@pytest.mark.parametrize("name", TARGETS)
def test_when_memory_runs_out_the_old_scene_stays(tmp_path, name, monkeypatch):
    save(tmp_path / name, scene_of(OLD))
    before = sorted(os.listdir((tmp_path / name).parent))
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(ExportError, match="memory ran out"):
        save(tmp_path / name, scene_of(NEW))
    assert sorted(os.listdir((tmp_path / name).parent)) == before
    assert standing(tmp_path / name) == OLD


def test_torchs_own_way_of_running_out_of_memory_is_known(tmp_path, monkeypatch):
    text = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(RuntimeError(text)))
    with pytest.raises(ExportError, match="memory ran out"):
        save(tmp_path / "a.ply", scene_of(NEW))


@pytest.mark.skipif(sys.platform != "linux", reason="address space limits are Linux's")
@pytest.mark.parametrize("name", ["a.spz", "a.sog"])
def test_an_export_within_too_little_memory_is_a_sentence(tmp_path, name):
    """The limit leaves the program a tenth of what packing the scene needs."""
    save(tmp_path / name, scene_of(OLD))
    code = f"""
import resource, sys, torch, PIL.WebPImagePlugin
sys.path.insert(0, {str(Path(__file__).parent)!r})
from exports import scene_of
from gaussian_lens_app import errors, formats
torch.set_num_threads(1)
scene = scene_of(400_000)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 6_000_000, resource.RLIM_INFINITY))
try:
    formats.save({str(tmp_path / name)!r}, scene)
except errors.ExportError as error:
    print(error); sys.exit(7)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    assert done.returncode == 7, done.stderr[-2000:]
    assert "memory ran out" in done.stdout
    assert standing(tmp_path / name) == OLD
    assert os.listdir(tmp_path) == [name]
