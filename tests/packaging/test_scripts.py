"""Scripts written in Python start with whatever Python is at hand."""

from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
IN_PYTHON = sorted(
    path for path in SCRIPTS.iterdir() if path.is_file() and path.read_bytes().splitlines()[0].endswith(b"python3")
)


@pytest.mark.parametrize("script", IN_PYTHON, ids=lambda path: path.name)
def test_a_script_enters_the_environment_before_it_imports_anything_from_it(script):
    lines = [line for line in script.read_text().splitlines() if line.startswith(("import ", "from "))]
    assert lines[0] == "from __future__ import annotations"
    assert lines[1].startswith("import in_environment")
