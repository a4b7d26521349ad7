"""A folder that holds a session: which scene and photos, which upgrades, which views. Written as work goes on.

project.json names the scene and the photos by paths relative to the folder; neither is copied. Each upgrade is a file
of its own in patches/, written once, before project.json mentions it: whatever ends the process, the folder holds the
state after the last finished step. It is locked while its session is open: two viewers would lose each other's work.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load as load_tensors
from safetensors.torch import save as tensor_bytes

from gaussian_lens_app.errors import BadFile, FileError, GsrError
from gaussian_lens_app.formats.atomic import make_folder, write_atomically
from gaussian_lens_app.scene.memory import memory_ran_out
from gaussian_lens_app.session.arrangement import Arrangement
from gaussian_lens_app.session.events import Event, RegionsChanged, SceneChanged
from gaussian_lens_app.session.history import Edit
from gaussian_lens_app.session.locking import LOCK, FolderLock
from gaussian_lens_app.session.looks import Pose
from gaussian_lens_app.session.memory import memory_errors_as_sentences
from gaussian_lens_app.session.opening import open_session
from gaussian_lens_app.session.rebuilding import rebuilt
from gaussian_lens_app.session.session import Session
from gaussian_lens_app.session.stored import EDIT_TENSORS, edit_json, edit_tensors, pose_json, pose_of, region_json
from gaussian_lens_app.session.workspace import Workspace

log = logging.getLogger(__name__)

FILE, PATCHES = "project.json", "patches"
VERSION = 1
_DAMAGED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError)
"""What comes of values of another kind than was written: a damaged file, whatever it trips over first."""


@dataclass(eq=False)
class Project:
    """A session's folder. `attach` makes it follow the session; every change is on disk when the change is told."""

    folder: Path
    scene: Path
    capture: Path | None
    bookmarks: tuple[Pose, ...] = ()
    up: tuple[float, float, float] | None = None
    """Which way is up on the screen, where the user turned it; the scene's own frame stays."""
    home: Pose | None = None
    """The first view."""
    session: Session | None = None
    told: GsrError | None = None
    """Why the last change is not on disk; None: it is."""
    lock: FolderLock | None = None
    """Let go of when the session closes."""
    _written: dict[int, str] = field(default_factory=dict)
    """Key of each upgrade on disk -> the name of its file."""
    _saving: threading.Lock = field(default_factory=threading.Lock)

    def attach(self, session: Session, quietly: bool = False) -> None:
        """Save now and at every change from now on; `quietly`: `told` says why where it cannot be."""
        self.session = session
        stop = session.subscribe(self._on_event)
        if quietly:
            self._save_quietly()
        else:
            try:
                self.save()
            except GsrError:
                stop()
                raise
        session.at_close(self._let_go)

    def save(self) -> None:
        """Write what is not written yet. ExportError when it cannot be."""
        assert self.session is not None
        with self._saving:  # from reading the state to writing it: a slow save must not write over a later one
            work = self.session.work
            now, edits = work.state()
            self._write_patches(edits)
            with write_atomically(self.folder / FILE, "w") as file:
                json.dump(self._json(work, now, edits), file, indent=1)

    def _write_patches(self, edits: Iterable[Edit]) -> None:
        make_folder(self.folder / PATCHES)
        for edit in edits:
            if edit.key not in self._written:
                path = self._free_patch(edit.key)
                with write_atomically(path) as file:
                    file.write(tensor_bytes(edit_tensors(edit)))
                self._written[edit.key] = path.name

    def set_bookmarks(self, bookmarks: tuple[Pose, ...]) -> None:
        self.bookmarks = bookmarks
        self._save_quietly()

    def set_home(self, home: Pose) -> None:
        self.home = home
        self._save_quietly()

    def set_up(self, up: tuple[float, float, float]) -> None:
        self.up = up
        self._save_quietly()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, SceneChanged | RegionsChanged):
            self._save_quietly()

    def _save_quietly(self) -> None:
        """A full disk must not end the work; the panel shows what `told` says."""
        try:
            self.save()
            self.told = None
        except (GsrError, OSError) as error:
            self.told = error if isinstance(error, GsrError) else FileError(f"The project was not saved: {error}.")
            log.error("saving failed", exc_info=error)

    def _free_patch(self, key: int) -> Path:
        """Where no file is: one there is of a save that was lost, or another viewer's where nothing can be locked."""
        path, number = self.folder / PATCHES / _patch_name(key), 2
        while os.path.lexists(path):
            path, number = path.with_name(_patch_name(key, f"_{number}")), number + 1
        return path

    def _let_go(self) -> None:
        with self._saving:
            if self.lock is not None:
                self.lock.release()

    def _json(self, work: Workspace, now: Arrangement, edits: Iterable[Edit]) -> dict[str, Any]:
        return {
            "gaussian_lens_project": VERSION,
            "scene": _relative(self.scene, self.folder),
            "capture": None if self.capture is None else _relative(self.capture, self.folder),
            "gaussians": len(self.session.original.ids) if self.session else 0,
            "edits": [edit_json(edit) | {"file": self._written[edit.key]} for edit in edits],
            "in_force": [edit.key for edit in now.edits],
            "regions": [region_json(region) for region in now.regions],
            "names": {str(number): name for number, name in work.names.items()},
            "next": [work.next_id, work.next_key],
            "bookmarks": [pose_json(pose) for pose in self.bookmarks],
            "up": None if self.up is None else list(self.up),
            "home": None if self.home is None else pose_json(self.home),
        }


def is_project(path: Path) -> bool:
    """Whether the path is a project folder, or its project.json."""
    return (path / FILE).is_file() or (path.name == FILE and path.is_file())


def project_folder(path: Path) -> Path:
    """The folder of a project given by it or by its project.json."""
    return (path.parent if path.name == FILE else path).resolve()


def new_project(folder: Path, scene: Path, capture: Path | None, session: Session) -> Project:
    """A project in a new or empty folder, left so if it cannot be made. FileError when something else is there."""
    if is_project(folder):
        raise FileError(f"{folder} is a project already: open it with gsr-view {folder}, or choose another name.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileError(f"{folder} is not empty: choose another name for the project.")
    there = folder.exists()
    make_folder(folder)
    project = Project(folder.resolve(), scene.resolve(), None if capture is None else capture.resolve())
    project.lock = FolderLock(project.folder)
    try:
        project.attach(session)
    except BaseException:
        project.lock.release()
        _clear(project, there)
        raise
    return project


def _clear(project: Project, there: bool) -> None:
    """Take away what a project that could not be made has left, nothing else; its folder too unless it was there."""
    if is_project(project.folder):  # interrupted when all was written
        return
    patches = project.folder / PATCHES
    for path in (*(patches / name for name in project._written.values()), project.folder / LOCK):
        with contextlib.suppress(OSError):
            path.unlink()
    for folder in (patches, *(() if there else (project.folder,))):
        with contextlib.suppress(OSError):
            folder.rmdir()


def open_project(
    folder: Path, device: str = "auto", *, scene: Path | None = None, capture: Path | None = None, **how: Any
) -> tuple[Session, Project]:
    """(the session as it was after its last finished step, its project). FileError with a sentence.

    `scene`, `capture`: what it must have been made from, where that is known.
    """
    folder = project_folder(folder)
    _read(folder)  # no lock in what is no project
    lock = FolderLock(folder)
    try:
        return _opened(folder, lock, device, scene, capture, how)
    except BaseException:
        lock.release()
        raise


def _opened(
    folder: Path, lock: FolderLock, device: str, scene: Path | None, capture: Path | None, how: dict[str, Any]
) -> tuple[Session, Project]:
    data = _read(folder)
    _refuse_others(folder, data["scene"], scene, "scene")
    _refuse_others(folder, data["capture"], capture, "photos")
    scene = _found(folder, data["scene"], "scene")
    capture = None if data["capture"] is None else _found(folder, data["capture"], "photos")
    session = open_session(scene, capture, device, **how)
    try:
        _refuse_another_count(session, scene, data["gaussians"])
        bookmarks, up, home = _restored(session, folder, data)
        project = Project(folder, scene, capture, bookmarks, up, home, lock=lock, _written=_files(data["edits"]))
        project.attach(session, quietly=True)
    except BaseException:
        session.close()
        raise
    return session, project


def _refuse_another_count(session: Session, scene: Path, count: Any) -> None:
    if len(session.scene) != count:
        raise FileError(
            f"{scene} has {len(session.scene)} Gaussians, the project's scene had {count}: "
            "put the scene back that the project was made from."
        )


def _restored(session: Session, folder: Path, data: dict[str, Any]) -> tuple[tuple[Pose, ...], Any, Pose | None]:
    """(bookmarks, which way is up, the first view); the session is as it was after its last finished step."""
    try:
        with memory_errors_as_sentences("opening the project", "close other programs"):
            files = _files(data["edits"])
            session.work, session.left_out = rebuilt(data, lambda key: _tensors(folder, files[key]), session.original)
        bookmarks = tuple(pose_of(pose) for pose in data["bookmarks"])
        home = None if data.get("home") is None else pose_of(data["home"])
        up = None if data["up"] is None else tuple(float(value) for value in data["up"])
        if up is not None and len(up) != 3:
            raise ValueError("up is no direction")
        return bookmarks, up, home
    except _DAMAGED as error:
        raise BadFile(f"{folder / FILE} is damaged ({_short(error)}): restore it from a copy.") from error


def _read(folder: Path) -> dict[str, Any]:
    try:
        data = json.loads((folder / FILE).read_text(encoding="utf-8"))
        if data["gaussian_lens_project"] != VERSION:
            raise BadFile(f"{folder} was written by a newer version of this program: update it.")
        names = [data["scene"], *([] if data["capture"] is None else [data["capture"]])]
        if not all(isinstance(name, str) and "\0" not in name for name in names) or "gaussians" not in data:
            raise ValueError("it names no scene")
        return data
    except OSError as error:
        raise FileError(f"{folder / FILE} cannot be read: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadFile(f"{folder / FILE} is damaged ({_short(error)}): restore it from a copy.") from error


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0][:120]


def _patch_name(key: int, which: str = "") -> str:
    return f"{key:04d}{which}.safetensors"


def _files(edits: Iterable[dict[str, Any]]) -> dict[int, str]:
    """Key of each upgrade -> the name of its file, which older projects do not say."""
    files = {edit["key"]: edit.get("file") or _patch_name(edit["key"]) for edit in edits}
    if wrong := [name for name in files.values() if not re.fullmatch(r"-?[0-9]{3,}(_[0-9]+)?\.safetensors", name)]:
        raise ValueError(f"{wrong[0]} is no upgrade's file")
    return files


def _tensors(folder: Path, name: str) -> dict[str, Any]:
    path = folder / PATCHES / name
    try:
        tensors = load_tensors(path.read_bytes())
        if missing := EDIT_TENSORS - tensors.keys():
            raise ValueError(f"{min(missing)} is missing")
        return tensors
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # safetensors' own, which its package does not export by name
        if memory_ran_out(error):
            raise
        raise BadFile(f"{path} is damaged ({_short(error)}): restore it from a copy.") from error


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _refuse_others(folder: Path, relative: str | None, asked: Path | None, what: str) -> None:
    known = None if relative is None else os.path.realpath(folder / relative)
    if asked is not None and os.path.realpath(asked) != known:
        made = f"without {what}" if known is None else f"from the {what} at {known}"
        raise FileError(
            f"The project {folder} was made {made}, not from {asked}: open it with gsr-view {folder}, "
            f"or give other {what} another project."
        )


def _found(folder: Path, relative: str, what: str) -> Path:
    path = Path(os.path.normpath(folder / relative))
    if not path.exists():
        raise FileError(f"The project's {what} should be at {path}, and nothing is there: put it back.")
    return path
