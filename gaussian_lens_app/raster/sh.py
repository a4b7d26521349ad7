"""Real spherical harmonics up to degree 4 in the sign convention of 3DGS (Kerbl et al. 2023, code release)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

C0 = 0.28209479177387814
C1 = 0.4886025119029199
C2 = (1.0925484305920792, 0.31539156525252005, 0.5462742152960396)
C3 = (0.5900435899266435, 2.890611442640554, 0.4570457994644658, 0.3731763325901154, 1.445305721320277)
C4 = (
    2.5033429417967046,
    1.7701307697799304,
    0.9461746957575601,
    0.6690465435572892,
    0.10578554691520431,
    0.47308734787878004,
    0.6258357354491761,
)


def sh_basis(degree: int, directions: Float[Tensor, "N 3"]) -> Float[Tensor, "N K"]:
    """The K = (degree + 1)^2 basis functions at unit directions."""
    x, y, z = directions.unbind(-1)
    terms = [torch.full_like(x, C0)]
    if degree >= 1:
        terms += [-C1 * y, C1 * z, -C1 * x]
    xx, yy, zz = x * x, y * y, z * z
    if degree >= 2:
        terms += [C2[0] * x * y, -C2[0] * y * z, C2[1] * (2 * zz - xx - yy), -C2[0] * x * z, C2[2] * (xx - yy)]
    if degree >= 3:
        terms += [
            -C3[0] * y * (3 * xx - yy),
            C3[1] * x * y * z,
            -C3[2] * y * (4 * zz - xx - yy),
            C3[3] * z * (2 * zz - 3 * xx - 3 * yy),
            -C3[2] * x * (4 * zz - xx - yy),
            C3[4] * z * (xx - yy),
            -C3[0] * x * (xx - 3 * yy),
        ]
    if degree >= 4:
        terms += [
            C4[0] * x * y * (xx - yy),
            -C4[1] * y * z * (3 * xx - yy),
            C4[2] * x * y * (7 * zz - 1),
            -C4[3] * y * z * (7 * zz - 3),
            C4[4] * (zz * (35 * zz - 30) + 3),
            -C4[3] * x * z * (7 * zz - 3),
            C4[5] * (xx - yy) * (7 * zz - 1),
            -C4[1] * x * z * (xx - 3 * yy),
            C4[6] * (xx * (xx - 3 * yy) - yy * (3 * xx - yy)),
        ]
    return torch.stack(terms, -1)


def sh_colors(
    directions: Float[Tensor, "N 3"], coefficients: Float[Tensor, "N K 3"], degree: int
) -> Float[Tensor, "N 3"]:
    """Colours max(0, SH + 0.5) seen along (not necessarily unit) directions."""
    basis = sh_basis(degree, torch.nn.functional.normalize(directions, dim=-1))
    return ((basis[..., None] * coefficients[:, : basis.shape[1]]).sum(1) + 0.5).clamp_min(0)
