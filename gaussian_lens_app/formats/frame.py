"""Whether a capture and a scene are about the same world."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from gaussian_lens_app.scene import Capture, Gaussians

_SAMPLE = 1000
LARGEST_GAP = 0.035
"""On four captures the own scene lay 0.5% away, foreign and rotated ones at least 3.9%."""
_CHECK = "check that the scene was made from this capture."


def sees(capture: Capture, scene: Gaussians) -> bool:
    """Whether any photo shows any of the scene's opaque Gaussians."""
    return bool((shares(capture, scene) > 0).any())


def shares(capture: Capture, scene: Gaussians) -> Float[Tensor, "P"]:
    """For each photo the share of a sample of the scene's most opaque Gaussians that lie within its frame."""
    means = opaque_sample(scene, _SAMPLE)
    return torch.stack([photo.camera.frames(means)[0].float().mean() for photo in capture.photos])


def doubts(capture: Capture, scene: Gaussians) -> tuple[str, ...]:
    """A sentence when capture and scene fit so badly that the user should know, though that is not surely wrong."""
    typical = float(shares(capture, scene).median())
    if typical < 0.01:
        return (f"Most photos show less than 1% of the scene: {_CHECK}",)
    if capture.points is not None and (gap := _gap(capture.points.positions, scene)) > LARGEST_GAP:
        return (f"The scene lies {gap:.0%} of its size away from the capture's points: {_CHECK}",)
    return ()


def _gap(points: Float[Tensor, "P 3"], scene: Gaussians) -> float:
    """How far a typical point is from the nearest Gaussian, as a share of the points' extent.

    Or a typical Gaussian from the nearest point, where that is less: a scene may be a cut-out of its capture.
    """
    return gap_to(_even(points, 10 * _SAMPLE), opaque_sample(scene, 10 * _SAMPLE), _SAMPLE)


def gap_to(points: Float[Tensor, "P 3"], means: Float[Tensor, "S 3"], count: int) -> float:
    """The same between points and centres, judged by `count` of either."""
    low, high = torch.quantile(_even(points, 10 * _SAMPLE), torch.tensor([0.05, 0.95]), dim=0)
    pairs = [(_even(points, count), means), (_even(means, count), _even(points, 10 * _SAMPLE))]
    typical = min(float(np.median(KDTree(many.numpy()).query(few.numpy())[0])) for few, many in pairs)
    return typical / max(float((high - low).norm()), 1e-12)


def opaque_sample(scene: Gaussians, count: int) -> Float[Tensor, "S 3"]:
    """Centres of an even sample of the more opaque half, without the outermost, which are often sky or floaters."""
    opacities = scene.logit_opacities.detach().cpu()
    means = scene.means.detach().cpu()[opacities >= opacities.median()]
    means = _even(means, count)
    distance = (means - means.median(0).values).norm(dim=1)
    return means[distance <= distance.quantile(0.95)]


def _even(points: Float[Tensor, "N 3"], count: int) -> Float[Tensor, "S 3"]:
    """At most `count` of the points, evenly spread over their order."""
    return points[torch.linspace(0, len(points) - 1, min(count, len(points))).long()]
