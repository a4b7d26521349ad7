"""One densification of a region: its worst Gaussians apart, and their children looked at again."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from jaxtyping import Bool, Int
from torch import Tensor

from gaussian_lens_app.methods.gaussian_lens_features import Look, look
from gaussian_lens_app.methods.gaussian_lens_inputs import LensInputs, footprints
from gaussian_lens_app.methods.gaussian_lens_pass import Prepared
from gaussian_lens_app.raster import Rasterizer
from gaussian_lens_app.scene import Gaussians

STRIDE = 3
"""Grid cells of the trunk are so many photo pixels, as in GaussianLens."""


def split_off(
    inputs: LensInputs, looks: Sequence[Look], rows: Bool[Tensor, "P"]
) -> tuple[LensInputs, tuple[Look, ...]]:
    """The inputs with all but `rows` of their old Gaussians among the surroundings, and the looks of those rows."""
    chosen = dataclasses.replace(
        inputs, frozen=Gaussians.concat([inputs.frozen, inputs.old.take(~rows)]), old=inputs.old.take(rows)
    )
    return chosen, tuple(look_of(one, rows) for one in looks)


def look_of(one: Look, rows: Tensor) -> Look:
    """A look with the gradients of some of its Gaussians."""
    screen = None if one.screen is None else one.screen[rows]
    return Look(one.render, one.gradients[rows], one.weights[rows], screen)


def regrown(
    prepared: Prepared, fine: Gaussians, ancestors: Int[Tensor, "M"], rasterizer: Rasterizer
) -> tuple[Prepared, tuple[Look, ...]]:
    """The fine Gaussians in the place of their ancestors, whose first gradients they keep, and a fresh look at them."""
    inputs = dataclasses.replace(prepared.inputs, old=fine)
    looks = tuple(look(inputs.frozen, fine, window, rasterizer, inputs.mode) for window in inputs.windows)
    first = tuple(look_of(one, ancestors) for one in prepared.first)
    footprint = footprints(fine.means, inputs.windows)
    return Prepared(inputs, first, prepared.backgrounds, footprint, prepared.stride), looks
