"""Whether a capture and a scene are about the same world."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gaussian_lens_app.scene import Capture, Gaussians

_SAMPLE = 2000


def sees(capture: Capture, scene: Gaussians) -> bool:
    """Whether any photo shows any of the scene's opaque Gaussians."""
    return bool((shares(capture, scene) > 0).any())


def shares(capture: Capture, scene: Gaussians) -> Float[Tensor, "P"]:
    """For each photo the share of a sample of the scene's most opaque Gaussians that lie within its frame."""
    means = _opaque_sample(scene)
    inside = []
    for photo in capture.photos:
        camera = photo.camera
        pixels, depths = camera.project(means)
        size = pixels.new_tensor([camera.width, camera.height])
        inside.append(((depths > 0) & (pixels >= 0).all(1) & (pixels < size).all(1)).float().mean())
    return torch.stack(inside)


def doubts(capture: Capture, scene: Gaussians) -> tuple[str, ...]:
    """A sentence when cameras and scene fit so badly that the user should know, though not surely wrong."""
    typical = float(shares(capture, scene).median())
    if typical < 0.01:
        return (
            f"Half of the photos show less than {max(typical, 0.001):.1%} of the scene: "
            "check that the scene was made from this capture.",
        )
    return ()


def _opaque_sample(scene: Gaussians) -> Float[Tensor, "S 3"]:
    """Centres of an even sample of the more opaque half, without the outermost, which are often sky or floaters."""
    opacities = scene.logit_opacities.detach().cpu()
    means = scene.means.detach().cpu()[opacities >= opacities.median()]
    means = means[torch.linspace(0, len(means) - 1, min(_SAMPLE, len(means))).long()]
    distance = (means - means.median(0).values).norm(dim=1)
    return means[distance <= distance.quantile(0.95)]
