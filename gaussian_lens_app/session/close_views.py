"""The patch that readies a scene made from small photos for views from nearby."""

from __future__ import annotations

import torch

from gaussian_lens_app.evaluation.modes import fitting_filter
from gaussian_lens_app.jobs import Report, within
from gaussian_lens_app.optimize.band_limit import band_limited
from gaussian_lens_app.raster import ANTIALIASED, Rasterizer
from gaussian_lens_app.scene import Capture, Patch
from gaussian_lens_app.select.veils import veils
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
    limited = band_limited(edited.scene, cameras, rasterizer, mode, within(report, 0.3, 0.8))
    veiled = veils(edited.scene, capture, rasterizer, ANTIALIASED, within(report, 0.8, 0.99))
    report("Widening splats", 0.99)  # the last moment to cancel
    rows, kept = torch.arange(len(limited)), (~veiled.cpu()).nonzero()[:, 0]
    provenance = {"method": "band-limit", "eps2d": mode.eps2d, "veils": len(rows) - len(kept)}
    return Patch(rows, limited.take(kept), kept, provenance=provenance, kinds=edited.rows.kinds[kept])
