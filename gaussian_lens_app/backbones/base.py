"""What a feed-forward backbone is: photos with cameras in, a scene out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gaussian_lens_app.jobs.report import Report
from gaussian_lens_app.scene import Gaussians, Photo


class Backbone(Protocol):
    """One way from photos to a scene without optimisation, as `gsr reconstruct --feed-forward` calls it."""

    def __call__(self, photos: Sequence[Photo], report: Report) -> Gaussians:
        """The scene of these photos. Raises CaptureError with a sentence when they cannot make one."""
        ...
