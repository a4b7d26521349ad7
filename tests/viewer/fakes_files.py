"""Scene files for tests that start a process."""

from pathlib import Path

from flat import dot

from gaussian_lens_app import formats


def write_board(path: Path) -> Path:
    """A file with one red Gaussian."""
    formats.save(path, dot((1.0, 0.2, 0.2)))
    return path
