"""Imported first by the scripts in this folder: runs them with .venv's Python, which is made where it is missing."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv" / "bin" / "python"


def enter() -> None:
    """Nothing where the package can be imported; else the script starts anew in the environment of this checkout."""
    try:
        import gaussian_lens_app  # noqa: F401
    except ImportError:
        if Path(sys.prefix) == ROOT / ".venv":
            raise
        make = f'source "{ROOT}/scripts/environment.sh" && ensure_environment ""'
        if subprocess.call(["bash", "-c", make]) != 0:
            sys.exit(1)
        os.execv(PYTHON, [str(PYTHON), *sys.argv])


enter()
