"""Writes the small valid files that the fuzz tests start from: python tests/formats/make_corpus.py"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from foreign_writers import write_gltf, write_ksplat
from plyfile import PlyElement
from safetensors.torch import save_file
from splats import some_gaussians, table_of, vertex_of, write_ply

from gaussian_lens_app.formats import save
from gaussian_lens_app.scene import Gaussians

CORPUS = Path(__file__).parent / "corpus"


def camera_elements(count: int) -> list[PlyElement]:
    """What a feed-forward program writes beside its vertices."""

    def column(name: str, values, code: str) -> PlyElement:
        return PlyElement.describe(np.array([(v,) for v in values], [(name, code)]), name)

    return [
        column("extrinsic", np.eye(4).ravel(), "f4"),
        column("intrinsic", [400, 0, 160, 0, 400, 120, 0, 0, 1], "f4"),
        column("image_size", [320, 240], "u4"),
        column("frame", [1, count], "i4"),
        column("color_space", [0], "u1"),
    ]


def arrays_of(g: Gaussians) -> dict[str, torch.Tensor]:
    """What a feed-forward program keeps of a scene: two views, rotations of the world, covariances beside them."""
    matrices = torch.linalg.qr(torch.randn(len(g), 3, 3, generator=torch.Generator().manual_seed(1))).Q
    return {
        "means": g.means[None],
        "harmonics": torch.cat([g.sh0, g.shN], 1).mT[None].contiguous(),
        "opacities": g.opacities[None],
        "scales": g.scales[None],
        "rotations": g.quats[None],
        "covariances": (matrices * g.scales[:, None] ** 2 @ matrices.mT)[None],
        "extrinsics": torch.eye(4).repeat(1, 2, 1, 1),
    }


def make(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    g = some_gaussians(12, 1)
    write_ply(folder / "binary.ply", vertex_of(table_of(g)))
    write_ply(folder / "text.ply", vertex_of(table_of(some_gaussians(3, 0))), text=True)
    write_ply(folder / "cameras.ply", vertex_of(table_of(some_gaussians(5, 0))), *camera_elements(5))
    for name, options in (
        ("packed.compressed.ply", {}),
        ("rows.splat", {}),
        ("two.spz", {"version": 2}),
        ("three.spz", {"version": 3}),
        ("four.spz", {"version": 4}),
        ("bundle.sog", {}),
    ):
        save(folder / name, g, **options)
    for mode in range(3):
        write_ksplat(folder / f"mode{mode}.ksplat", [g], mode)
    write_gltf(folder / "splats.glb", g, {"rotation": [0, 0.6, 0, 0.8], "translation": [1, 2, 3]})
    write_gltf(folder / "splats.gltf", some_gaussians(4, 0))
    arrays = arrays_of(g)
    plain = {name: values.numpy() for name, values in arrays.items() if name != "covariances"}
    np.savez(folder / "stated.npz", **plain, convention=np.array("gsplat"))
    np.savez_compressed(folder / "packed.npz", **{name: values.numpy() for name, values in arrays.items()})
    torch.save({"gaussians": arrays, "convention": "noposplat"}, folder / "tensors.pt")
    save_file(arrays, folder / "tensors.safetensors", metadata={"convention": "noposplat"})


if __name__ == "__main__":
    make(CORPUS)
