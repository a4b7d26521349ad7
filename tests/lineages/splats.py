"""Small random scenes for tests of lineages."""

import torch

from gaussian_lens_app.scene import Gaussians


def random_scene(count: int, seed: int = 0, sh_degree: int = 0) -> Gaussians:
    """Gaussians of all shapes in the unit cube."""
    generator = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    return Gaussians(
        means=torch.rand(count, 3, generator=generator),
        quats=torch.nn.functional.normalize(normal(count, 4), dim=-1),
        log_scales=-3 + 0.5 * normal(count, 3),
        logit_opacities=normal(count),
        sh0=0.5 * normal(count, 1, 3),
        shN=0.1 * normal(count, (sh_degree + 1) ** 2 - 1, 3),
    )


def covariances(scene: Gaussians) -> torch.Tensor:
    from gaussian_lens_app.scene.gaussians import rotations

    axes = rotations(scene.quats) * scene.scales[:, None, :]
    return axes @ axes.mT


def turned_scene(scene: Gaussians, quat: torch.Tensor, scale: float, shift: torch.Tensor) -> Gaussians:
    """The same scene in other world axes and units."""
    import dataclasses
    import math

    from gaussian_lens_app.lineages.nodes import product
    from gaussian_lens_app.scene.gaussians import rotations

    matrix = rotations(quat[None])[0]
    return dataclasses.replace(
        scene,
        means=scale * scene.means @ matrix.T + shift,
        quats=product(quat.expand(len(scene), 4), scene.quats),
        log_scales=scene.log_scales + math.log(scale),
    )
