"""The edited scene, or a part of it, as a file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, UInt8, UInt16
from torch import Tensor

from gaussian_lens_app import formats
from gaussian_lens_app.errors import ExportError, UnknownFormat
from gaussian_lens_app.formats import ply
from gaussian_lens_app.formats.ply_header import Property
from gaussian_lens_app.scene import Capture, Gaussians, Kind, Region
from gaussian_lens_app.session.classic import compensated
from gaussian_lens_app.session.glb import write_glb
from gaussian_lens_app.session.history import Edit, Edited, Rows

KIND, REGION = "provenance", "region"
"""Names of the optional properties of a PLY: a `Kind`, and the number of the region of the upgrade (0: none)."""

MOST = 65535
"""The highest number of a region that the property can hold."""

POINTS = "GLB: a coloured point for each Gaussian that is not faint; the splats themselves are lost."
SILENT = "Some of these Gaussians are invented, which only the header of a PLY says."

Titled = tuple[tuple[str, Edit], ...]
"""Edits in force with what the user calls them."""


@dataclass(frozen=True)
class ExportSettings:
    """What goes into the file."""

    part: str = "scene"
    """"scene", "selection", or "region"."""
    region: int = 0
    """Number of the region, where the part is one."""
    provenance: bool = False
    """Write where each Gaussian comes from as two more properties (plain PLY only; kept without asking where the
    scene was opened from a PLY that has them)."""
    classic: bool = False
    """Made for viewers without antialiasing: opacities carry what the 2D filter would have taken from them."""


def write_scene(
    path: Path,
    edited: Edited,
    edits: Titled,
    file: formats.SceneFile | None,
    settings: ExportSettings,
    selection: Region | None,
    capture: Capture | None,
) -> Path:
    """The path, once the file stands there whole. ExportError with a sentence, and what stood there still stands."""
    rows = part_rows(edited, settings, selection).nonzero()[:, 0]
    scene, known = edited.scene.to("cpu").take(rows), edited.rows.take(rows)
    if settings.classic:
        if capture is None or len(capture) == 0:
            raise ExportError(
                "Compensating for other viewers needs photos with cameras: open the scene with --capture."
            )
        scene = compensated(scene, capture)
    _check(path, settings)
    if _is_points(path):
        return write_glb(path, scene)
    like, sources, highest = file, known.sources, 0
    if _is_plain(path) and (settings.provenance or _has_provenance(file)):
        like, sources = _with_provenance(scene, known, file)
        highest = int(_regions_in(file).max(initial=0))
    said = comments(known.kinds, edits, settings, highest)
    formats.save(path, scene, like=like, sources=sources, comments=said)
    return path


def losses(path: Path, edited: Edited, settings: ExportSettings, selection: Region | None) -> tuple[str, ...]:
    """Sentences on what the file of that name will not say or not exactly. ExportError when the part is empty."""
    _check(path, settings)
    rows = part_rows(edited, settings, selection).nonzero()[:, 0]
    said = (POINTS,) if _is_points(path) else formats.losses(path, edited.scene.to("cpu").take(rows))
    invented = bool((edited.rows.kinds[rows] == Kind.INVENTED).any())
    return (*said, SILENT) if invented and path.suffix.lower() != ".ply" else said


def part_rows(edited: Edited, settings: ExportSettings, selection: Region | None) -> Bool[Tensor, "N"]:
    """Which rows belong to the part. ExportError when there are none."""
    if settings.part == "scene":
        return torch.ones(len(edited.ids), dtype=torch.bool)
    if settings.part == "selection":
        if selection is None or selection.count == 0:
            raise ExportError("Nothing is selected: drag a box, or the kept one anew.")
        return selection.selected.cpu()
    rows = edited.rows.regions == settings.region
    if settings.region < 1 or not bool(rows.any()):  # 0 is what no region made
        raise ExportError("That region holds no Gaussian of its own: show it first, or choose another.")
    return rows


def comments(kinds: UInt8[Tensor, "N"], edits: Titled, settings: ExportSettings, highest: int = 0) -> tuple[str, ...]:
    """What the header says: each upgrade with its verdict, and whether anything is made up.

    `highest`: the number of a region that the scene was opened with, above which the file has those of `edits`.
    """
    lines = []
    for title, edit in edits:
        number = int(edit.after.regions.max()) if len(edit.after.regions) else 0
        if highest and number:
            title = f"{title} (number {highest + number} in this file)"
        name = edit.name if title == edit.name else f"{title}, {edit.name}"
        by = edit.patch.provenance.get("method", "by hand")
        lines.append(f"{name}: {by if edit.verdict is None else edit.verdict.sentence}")
    invented = int((kinds == Kind.INVENTED).sum())
    if invented:
        lines.append(f"CONTAINS INVENTED DETAIL: no photo shows {invented} of these {len(kinds)} Gaussians as they are")
    if settings.classic:
        lines.append("opacities are compensated for viewers without antialiasing")
    return tuple(lines)


def kinds_in_file(file: formats.SceneFile | None) -> UInt8[Tensor, "N"] | None:
    """Where the Gaussians came from, as an earlier export wrote it."""
    if file is None or not _has_provenance(file):
        return None
    assert file.layout is not None
    column = file.layout.columns[KIND]
    return torch.from_numpy(np.clip(column, 0, max(Kind)).astype(np.uint8))


def _check(path: Path, settings: ExportSettings) -> None:
    """Raises UnknownFormat for no format at all, ExportError for one that cannot keep what is asked of it."""
    if not _is_plain(path) and settings.provenance:
        raise ExportError(f"{path.name} was not written: only a plain PLY can say where each Gaussian comes from.")


def _is_points(path: Path) -> bool:
    return path.suffix.lower() == ".glb"


def _is_plain(path: Path) -> bool:
    """Whether it is a PLY that can have properties of its own. UnknownFormat for no format at all."""
    try:
        return not _is_points(path) and formats.writer_for(path).name == ply.NAME
    except UnknownFormat as error:
        raise UnknownFormat(f"{str(error).rstrip('.')}; .glb keeps points instead of splats.") from error


def _has_provenance(file: formats.SceneFile | None) -> bool:
    return file is not None and file.layout is not None and KIND in file.layout.columns


def _with_provenance(scene: Gaussians, known: Rows, file: formats.SceneFile | None) -> tuple[formats.SceneFile, Tensor]:
    """(a layout whose rows are those of `scene`, its sources) with the two properties at the end."""
    layout = (None if file is None else file.layout) or formats.Layout(ply.plain_header(scene.sh_degree))
    sources = known.sources.numpy()
    columns = {name: _gathered(column, sources) for name, column in layout.columns.items()}
    columns[KIND] = known.kinds.numpy()
    columns[REGION] = _numbers(known, _regions_in(file))
    vertex = layout.header.vertex
    kept = tuple(p for p in vertex.properties if p.name not in (KIND, REGION))
    vertex = dataclasses.replace(vertex, properties=(*kept, Property(KIND, "uchar"), Property(REGION, "ushort")))
    layout = dataclasses.replace(layout, header=layout.header.with_vertex(vertex), columns=columns)
    path = Path("scene.ply") if file is None else file.path
    return formats.SceneFile(scene, layout, (), path), torch.arange(len(scene))


def _regions_in(file: formats.SceneFile | None) -> UInt16[np.ndarray, "M"]:
    """Numbers of the regions that an earlier export wrote, a row each; none where it wrote none."""
    if file is None or not _has_provenance(file):
        return np.zeros(0, np.uint16)
    assert file.layout is not None
    column = file.layout.columns.get(REGION, np.zeros(0, np.uint16))
    return np.clip(column, 0, MOST).astype(np.uint16)


def _numbers(known: Rows, before: UInt16[np.ndarray, "M"]) -> UInt16[np.ndarray, "N"]:
    """The file's own numbers for rows of no region of this session, those of its regions above them."""
    new = known.regions.numpy()
    old = _gathered(before, known.sources.numpy()) if len(before) else 0
    return np.where(new > 0, new + int(before.max(initial=0)), old).clip(0, MOST).astype(np.uint16)


def _gathered(column: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """Values of each row's source; zeros where it has none."""
    values = column[np.maximum(sources, 0)]
    values[sources < 0] = 0
    return values
