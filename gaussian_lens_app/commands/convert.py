"""`gsr convert`: a scene from one format to another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from gaussian_lens_app.commands.arguments import OptionalPath
from gaussian_lens_app.commands.reading import check_target, expanded, read_capture, read_scene, tell

if TYPE_CHECKING:
    from torch import Tensor

    from gaussian_lens_app.formats import SceneFile
    from gaussian_lens_app.scene import Gaussians


@dataclass(frozen=True)
class Convert:
    """Write a scene in another format, which the new name's ending says; tells what the format loses."""

    scene: Positional[Path]
    """Scene file: PLY, compressed PLY, .splat, .spz, .sog, .ksplat, .glb, .gltf, or a folder with a SOG's meta.json."""
    file: Positional[Path]
    """File to write: .ply, .compressed.ply, .splat, .spz, .sog, or FOLDER/meta.json."""
    spz_version: Literal[2, 3, 4] = 3
    """Version of an .spz file; most programs read up to 3."""

    repair: bool = False
    """Mend what `gsr inspect` names: linear values, needles, giants, duplicates; with --capture also the axes."""
    capture: OptionalPath = None
    """The photos and cameras that the scene belongs to."""
    half_turn: bool = False
    """Turn the scene half a circle about x, from y up to y down or back."""
    mirror: bool = False
    """Mirror the scene in x."""

    def run(self) -> None:
        from gaussian_lens_app import formats

        is_folder = self.file.name == "meta.json"  # which is made
        file = expanded(self.file) if is_folder else check_target(self.file)
        formats.writer_for(file)  # an unknown ending is said before the work
        read = read_scene(self.scene)
        scene, rows = self._mended(read)
        tell(*formats.losses(file, scene))
        formats.save(file, scene, like=read, sources=rows, version=self.spz_version)
        degree = min(scene.sh_degree, formats.degree_in(file))
        print(f"{file}: {len(scene):,} Gaussians, SH degree {degree}")

    def _mended(self, read: SceneFile) -> tuple[Gaussians, Tensor]:
        """(the scene to write, rows of the scene that was read)"""
        import torch

        from gaussian_lens_app import formats

        scene, rows = read.gaussians, torch.arange(len(read.gaussians))
        if self.repair:
            capture = None if self.capture is None else read_capture(self.capture, read, check=False)
            mended = formats.repair(scene, capture, read.cameras)
            tell(*(f"Mended: {finding}" for finding in mended.findings))
            scene, rows = mended.gaussians, mended.rows
        elif findings := formats.lint(scene, cameras=read.cameras):
            tell(*map(str, findings), "--repair mends that.")
        if self.half_turn or self.mirror:
            scene = formats.transformed(scene, formats.axes(self.half_turn, self.mirror))
        return scene, rows
