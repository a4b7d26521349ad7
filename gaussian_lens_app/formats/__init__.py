"""Files to scenes and captures, and back."""

from gaussian_lens_app.formats.atomic import write_atomically
from gaussian_lens_app.formats.cameras import load_cameras, save_cameras
from gaussian_lens_app.formats.capture import load_capture
from gaussian_lens_app.formats.frames import axes, transformed
from gaussian_lens_app.formats.inspection import describe, inspect
from gaussian_lens_app.formats.lint import Repaired, lint, repair
from gaussian_lens_app.formats.table import FORMATS, degree_in, load, losses, save, writer_for
from gaussian_lens_app.formats.values import Finding, Layout, SceneFile

__all__ = [
    "FORMATS",
    "Finding",
    "Layout",
    "Repaired",
    "SceneFile",
    "axes",
    "degree_in",
    "describe",
    "inspect",
    "lint",
    "load",
    "load_cameras",
    "load_capture",
    "losses",
    "repair",
    "save",
    "save_cameras",
    "transformed",
    "write_atomically",
    "writer_for",
]
