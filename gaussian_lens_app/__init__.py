"""Box what you care about in a Gaussian splat scene and it becomes sharp, in place.

>>> import gaussian_lens_app as lens
>>> session = lens.open_session("assets/demo/scene.ply", "assets/demo")
>>> box = lens.Box(session.capture.named("DSC_0423").camera, (582, 446, 766, 573))
>>> print(session.upgrade(box, "refine").result().verdict.sentence)
>>> session.export("sharper.ply")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gaussian_lens_app.benchmark import EvaluateSettings, evaluate
    from gaussian_lens_app.evaluation.views import render_views
    from gaussian_lens_app.formats import load, load_cameras, load_capture, save
    from gaussian_lens_app.methods import METHODS, Budget
    from gaussian_lens_app.optimize.reconstruct import ReconstructSettings, reconstruct
    from gaussian_lens_app.raster import ANTIALIASED, CLASSIC, for_device
    from gaussian_lens_app.scene import Box, Camera, Capture, Gaussians, Patch
    from gaussian_lens_app.session import Session, open_session
    from gaussian_lens_app.viewer import View, view

__version__ = "0.1.0"

_HOMES = {
    "benchmark": ("EvaluateSettings", "evaluate"),
    "evaluation.views": ("render_views",),
    "formats": ("load", "load_cameras", "load_capture", "save"),
    "methods": ("METHODS", "Budget"),
    "optimize.reconstruct": ("ReconstructSettings", "reconstruct"),
    "raster": ("ANTIALIASED", "CLASSIC", "for_device"),
    "scene": ("Box", "Camera", "Capture", "Gaussians", "Patch"),
    "session": ("Session", "open_session"),
    "viewer": ("View", "view"),
}
"""Where the public names live; each is imported when it is first asked for, so that importing this is instant."""

_HOME_OF = {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names}

__all__ = [
    "ANTIALIASED",
    "CLASSIC",
    "METHODS",
    "Box",
    "Budget",
    "Camera",
    "Capture",
    "EvaluateSettings",
    "Gaussians",
    "Patch",
    "ReconstructSettings",
    "Session",
    "View",
    "evaluate",
    "for_device",
    "load",
    "load_cameras",
    "load_capture",
    "open_session",
    "reconstruct",
    "render_views",
    "save",
    "view",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
