"""The shortened run of scripts/soak: nothing left over, and memory comes to rest."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scenes import write_capture

from gaussian_lens_app import formats

SCRIPT = Path(__file__).parents[2] / "scripts" / "soak"
MINUTES = float(os.environ.get("GSR_SOAK_MINUTES", "0.5"))


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_browsing_boxing_undoing_and_exporting_leave_no_thread_and_no_growth(textured_board, tmp_path):
    write_capture(textured_board.capture, tmp_path / "capture")
    formats.save(tmp_path / "scene.ply", textured_board.scene)
    command = [sys.executable, str(SCRIPT), "--minutes", str(MINUTES), "--json", str(tmp_path / "rounds.json")]
    command += ["--scene", str(tmp_path / "scene.ply"), "--capture", str(tmp_path / "capture")]
    done = subprocess.run(
        [*command, "--method", "split", "--allowed", "1.1"], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "threads left: none" in done.stdout
    memory = [one["memory_mb"] for one in json.loads((tmp_path / "rounds.json").read_text())]
    assert len(memory) >= 5
    half = len(memory) // 2
    assert np.median(memory[half:]) < 1.1 * np.median(memory[:half])
