"""Photos with their cameras, from whichever program found the cameras."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gaussian_lens_app.errors import BadFile, CaptureError, FileError
from gaussian_lens_app.formats import inria_cameras, transforms
from gaussian_lens_app.formats.colmap import find_models, read_colmap
from gaussian_lens_app.formats.frame import doubts, sees
from gaussian_lens_app.formats.json_file import read_json
from gaussian_lens_app.formats.lens import Lens
from gaussian_lens_app.formats.shots import Shot, Shots, holds_photos, photo_size, some
from gaussian_lens_app.formats.stated import photos_at, shots_of
from gaussian_lens_app.formats.undistort import undistort_all
from gaussian_lens_app.jobs.report import Report, silent
from gaussian_lens_app.scene import Camera, Capture, Gaussians, Photo

_ASPECT_TOLERANCE = 0.01
"""Photos made smaller by a program differ by rounding; another crop differs by more."""


def load_capture(
    path: str | Path,
    scene: Gaussians | None = None,
    report: Report = silent,
    stated: Sequence[tuple[str, Camera]] = (),
) -> Capture:
    """The photos of a COLMAP folder, a transforms.json or an INRIA cameras.json, sorted by name, read lazily.

    Photos without cameras, or a single one, get those that the scene's file states (`SceneFile.cameras`), if it does.

    Where several of them are in one folder, the first whose cameras look at `scene` is taken. Raises CaptureError or
    FileError with one sentence. `report` hears of photos being undistorted, which happens once.
    """
    path = Path(path)
    failures: list[CaptureError | BadFile] = []
    doubtful: list[Capture] = []
    for read in _readers(path, stated):
        try:
            capture = _to_capture(read(), path, report)
            _check_frame(capture, scene)
        except (CaptureError, BadFile) as error:
            failures.append(error)
            continue
        notes = doubts(capture, scene) if scene is not None else ()
        skipped = tuple(f"Other cameras of this folder were left aside: {failure}" for failure in failures)
        capture = dataclasses.replace(capture, notes=(*capture.notes, *skipped, *notes))
        if not notes:
            return capture
        doubtful.append(capture)
    if doubtful:
        return doubtful[0]
    raise failures[0]


def _check_frame(capture: Capture, scene: Gaussians | None) -> None:
    if scene is not None and not sees(capture, scene):
        raise CaptureError(
            f"None of the {len(capture)} photos of {capture.root} looks at the scene: capture and scene do not share "
            "a coordinate frame. Give the capture that the scene was made from."
        )


def _readers(path: Path, stated: Sequence[tuple[str, Camera]] = ()) -> list[Callable[[], Shots]]:
    """A reader for everything at `path` that states cameras, likeliest first; the `stated` ones where there is none."""
    photos = photos_at(path) if stated else []
    if photos and path.is_file():
        return [partial(shots_of, photos, stated)]
    if path.is_file():
        return [_reader_of_file(path)]
    if not path.is_dir():
        raise FileError(f"{path} does not exist: check the spelling.")
    readers = [partial(read_colmap, model, path) for model in find_models(path)]
    for folder in (path, path.parent) if holds_photos(path) else (path,):
        for name in transforms.NAMES:
            if (folder / name).is_file():
                readers.append(partial(transforms.read_transforms, folder / name, path))
        if (folder / inria_cameras.NAME).is_file():
            readers.append(partial(inria_cameras.read_inria_cameras, folder / inria_cameras.NAME, path))
    if photos and not readers:
        return [partial(shots_of, photos, stated)]
    if not readers:
        raise CaptureError(_no_cameras(path))
    return readers


def is_capture(folder: Path) -> bool:
    """Whether a folder holds photos or cameras."""
    try:
        return bool(_readers(folder))
    except CaptureError:
        return any(holds_photos(inner) for inner in (folder, folder / "images"))


def _reader_of_file(path: Path) -> Callable[[], Shots]:
    if path.suffix.lower() != ".json":
        raise CaptureError(f"{path} is no capture: give the folder with the photos and their cameras.")
    if transforms.is_transforms(read_json(path)):
        return partial(transforms.read_transforms, path, path.parent)
    return partial(inria_cameras.read_inria_cameras, path, path.parent)


def _no_cameras(path: Path) -> str:
    photos = any(holds_photos(folder) for folder in (path, path / "images", path / "input"))
    found = "has photos but no cameras" if photos else "has neither photos nor cameras"
    return (
        f"{path} {found}: run COLMAP on the photos and give the folder that holds images/ and sparse/, "
        "or one with a transforms.json."
    )


@dataclass(frozen=True, eq=False)
class _Found:
    """A shot whose photo is there, with the lens of the photo's own size."""

    shot: Shot
    file: Path
    lens: Lens
    scaled: bool


def _to_capture(shots: Shots, root: Path, report: Report) -> Capture:
    """Look at the photos' files: leave out missing ones, fit cameras to sizes, straighten distorted ones."""
    pairs, again = _once([(shot, shot.find()) for shot in shots.shots])
    missing = [shot.name for shot, file in pairs if file is None]
    if len(missing) == len(pairs):
        raise CaptureError(
            f"None of the {len(pairs)} photos that {shots.source} names is there: {some(missing)}. "
            f"Put them into {pairs[0][0].places[0].parent if pairs[0][0].places else root / 'images'}."
        )
    found = [_fitted(shot, file) for shot, file in pairs if file is not None]
    bent = [item for item in found if not item.lens.pinhole]
    straight = dict(zip(map(id, bent), undistort_all([(i.file, i.lens) for i in bent], report), strict=True))
    photos = [_photo(item, straight.get(id(item), item.file)) for item in found]
    notes = [*shots.notes, *_listed_again(again)]
    if missing:
        notes.append(f"{len(missing)} of {len(pairs)} photos are missing and were left out: {some(missing)}.")
    if scaled := [item.shot.name for item in found if item.scaled]:
        notes.append(f"Cameras of {len(scaled)} photos were scaled to the photos' size: {some(scaled)}.")
    if bent:
        models = ", ".join(sorted({item.lens.model for item in bent}))
        notes.append(f"{len(bent)} photos were undistorted ({models}).")
    return Capture(tuple(photos), shots.points, root, tuple(notes))


def _once(listed: list[tuple[Shot, Path | None]]) -> tuple[list[tuple[Shot, Path | None]], list[str]]:
    """(the first shot of each photo, sorted by name, the names of photos that have several)."""
    first: dict[str, tuple[Shot, Path | None]] = {}
    again: set[str] = set()
    for shot, file in listed:
        name = _name(shot, file)
        if name in first:
            again.add(name)
        else:
            first[name] = (shot, file)
    return sorted(first.values(), key=lambda pair: pair[0].name), sorted(again)


def _listed_again(names: list[str]) -> list[str]:
    """What to say of photos that have several cameras; nothing where there are none."""
    if not names:
        return []
    if len(names) == 1:
        return [f"1 photo is listed more than once; its first camera was taken: {names[0]}."]
    return [f"{len(names)} photos are listed more than once; the first camera of each was taken: {some(names)}."]


def _name(shot: Shot, file: Path | None) -> str:
    """What the photo is called, with its file's suffix where the capture leaves that out."""
    return shot.name if file is None or Path(shot.name).suffix else shot.name + file.suffix


def _fitted(shot: Shot, file: Path) -> _Found:
    """The shot with its lens at the photo's size, which must have the same aspect."""
    lens = shot.lens if isinstance(shot.lens, Lens) else shot.lens(file)
    width, height = photo_size(file)
    if (width, height) == (lens.width, lens.height):
        return _Found(shot, file, lens, scaled=False)
    aspect = (width / height) / (lens.width / lens.height)
    if abs(aspect - 1) > _ASPECT_TOLERANCE:
        raise CaptureError(
            f"Photo {shot.name} is {width}x{height} pixels but its camera says {lens.width}x{lens.height}: "
            "use the photos the cameras were made from."
        )
    return _Found(shot, file, lens.scaled(width, height), scaled=True)


def _photo(item: _Found, source: Path) -> Photo:
    return Photo(_name(item.shot, item.file), item.lens.undistorted().camera(item.shot.viewmat), source)
