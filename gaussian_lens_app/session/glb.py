"""The scene as a coloured point set, for programs that show no splats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from gaussian_lens_app.formats.atomic import write_atomically
from gaussian_lens_app.scene import SH_C0, Gaussians

FAINTEST = 0.1
"""Gaussians fainter than this are haze that a point would make solid."""
TO_GLTF = np.diag([1.0, -1.0, -1.0, 1.0])
"""glTF's y points up; a node turns the scene, its points keep the scene's own frame."""


def write_glb(path: Path, scene: Gaussians) -> Path:
    """The path of a GLB with a point for each Gaussian that is not haze."""
    import trimesh

    shown = scene.take(scene.opacities >= min(FAINTEST, float(scene.opacities.max())))
    colors = (0.5 + SH_C0 * shown.sh0[:, 0]).clamp(0, 1)
    rgba = torch.cat([colors, torch.ones(len(shown), 1)], -1)
    cloud = trimesh.PointCloud(shown.means.numpy(), colors=(rgba * 255 + 0.5).byte().numpy())
    whole = trimesh.Scene()
    whole.add_geometry(cloud, node_name="splats", transform=TO_GLTF)
    data = whole.export(file_type="glb")
    assert isinstance(data, bytes)
    with write_atomically(path) as file:
        file.write(data)
    return path
