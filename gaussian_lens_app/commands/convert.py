"""`gsr convert`: a scene from one format to another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from gaussian_lens_app.commands.reading import check_target, read_scene, tell


@dataclass(frozen=True)
class Convert:
    """Write a scene in another format, which the new name's ending says; tells what the format loses."""

    scene: Positional[Path]
    """Scene file: PLY, compressed PLY, .splat, .spz, .sog, .ksplat, .glb, .gltf, or a folder with a SOG's meta.json."""
    file: Positional[Path]
    """File to write: .ply, .compressed.ply, .splat, .spz, .sog, or FOLDER/meta.json."""
    spz_version: Literal[2, 3, 4] = 3
    """Version of an .spz file; most programs read up to 3."""

    def run(self) -> None:
        from gaussian_lens_app import formats

        if self.file.name != "meta.json":  # its folder is made
            check_target(self.file)
        formats.writer_for(self.file)  # an unknown ending is said before the work
        read = read_scene(self.scene)
        tell(*formats.losses(self.file, read.gaussians))
        formats.save(self.file, read.gaussians, like=read, version=self.spz_version)
        degree = min(read.gaussians.sh_degree, formats.degree_in(self.file))
        print(f"{self.file}: {len(read.gaussians):,} Gaussians, SH degree {degree}")
