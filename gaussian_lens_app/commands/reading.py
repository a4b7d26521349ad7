"""What commands do with files before and after the work: read, tell what was found, check the target early."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gaussian_lens_app.commands.progress import Progress
from gaussian_lens_app.errors import ExportError

if TYPE_CHECKING:
    from gaussian_lens_app.formats import SceneFile
    from gaussian_lens_app.scene import Capture


def read_scene(path: Path) -> SceneFile:
    """The file's scene; what was found in it is told on stderr."""
    from gaussian_lens_app import formats

    file = formats.load(path)
    tell(*(str(finding) for finding in file.findings))
    return file


def read_capture(folder: Path, file: SceneFile | None = None, *, check: bool = True) -> Capture:
    """The folder's photos and cameras, or the cameras that a scene's file states; unless told otherwise, checked to
    look at that scene."""
    from gaussian_lens_app import formats

    with Progress() as progress:
        scene = file.gaussians if file is not None and check else None
        capture = formats.load_capture(folder, scene, progress, () if file is None else file.cameras)
    tell(*capture.notes)
    return capture


def tell(*sentences: str) -> None:
    """Messages that are no result go to stderr."""
    for sentence in sentences:
        print(sentence, file=sys.stderr, flush=True)


def expanded(path: Path) -> Path:
    """The path with its ~ expanded; one of a name that nobody has stays, and names a folder that is not there."""
    return Path(os.path.expanduser(path))


def at_home(value: Any) -> Any:
    """The arguments of a command with the ~ of every path expanded, which a shell leaves alone after a `=`."""
    if isinstance(value, Path):
        return expanded(value)
    if isinstance(value, tuple):
        return tuple(at_home(one) for one in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: at_home(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    return value


def check_target(path: Path, suffix: str | None = None, own: Path | None = None) -> Path:
    """The file to write, its ~ expanded; `own` is what is read, and must stay.

    Raises ExportError while it costs nothing, not after an hour of work.
    """
    path = expanded(path)
    if suffix and path.suffix.lower() != suffix:
        raise ExportError(f"Cannot write {path.name!r}: give a name that ends in {suffix}.")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ExportError(f"There is no folder {folder} to write {path.name} into: make it first.")
    if not os.access(folder, os.W_OK):
        raise ExportError(f"The folder {folder} may not be written to: choose another place for {path.name}.")
    if path.is_dir():
        raise ExportError(f"{path} is a folder: give the name of the file to write.")
    if own is not None and own.exists() and path.exists() and path.samefile(own):
        raise ExportError(f"{path} is the scene that is read, which stays as it is: give another name.")
    return path
