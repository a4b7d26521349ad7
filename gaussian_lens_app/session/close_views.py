"""The patch that readies a scene made from small photos for views from nearby."""

from __future__ import annotations

import torch

from gaussian_lens_app.evaluation.modes import fitting_filter, readied
from gaussian_lens_app.jobs import Report, within
from gaussian_lens_app.raster import ANTIALIASED, Rasterizer
from gaussian_lens_app.scene import Capture, Patch
from gaussian_lens_app.session.history import Edited
from gaussian_lens_app.session.memory import memory_errors_as_sentences

CLOSE_VIEWS = "close views"
"""The reason listeners are told."""
CLOSE_VIEWS_JOB = "Readying close views"
"""What the job is called."""
CLOSE_VIEWS_NAME = "Close views"
"""What the edit is called."""
CAMERAS = 24
"""So many of the photos' cameras, spread over the capture, say how far away each Gaussian is seen from."""


@memory_errors_as_sentences("readying close views", "close other programs, or start with --no-close-views")
def close_views_patch(edited: Edited, capture: Capture | None, rasterizer: Rasterizer, report: Report) -> Patch | None:
    """The scene band-limited by the filter that suits the photos, without its veils.

    None where no filter wider than the plain one suits them.
    """
    if capture is None or len(capture) == 0:
        return None
    mode = fitting_filter(edited.scene, capture, rasterizer, within(report, 0.0, 0.3))
    if mode.eps2d <= ANTIALIASED.eps2d:
        return None
    step = -(-len(capture) // CAMERAS)
    cameras = [photo.camera for photo in capture.photos[::step]]
    limited, rows = readied(edited.scene, capture, cameras, rasterizer, mode, within(report, 0.3, 0.99))
    kept = rows.cpu()
    report("Widening splats", 0.99)  # the last moment to cancel
    every = torch.arange(len(edited.scene))
    provenance = {"method": "band-limit", "eps2d": mode.eps2d, "veils": len(every) - len(kept)}
    return Patch(every, limited, kept, provenance=provenance, kinds=edited.rows.kinds[kept])
