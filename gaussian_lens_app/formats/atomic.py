"""A file appears whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from gaussian_lens_app.errors import ExportError

_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space or choose another place",
    errno.EDQUOT: "your disk quota is used up; free some space or choose another place",
    errno.EFBIG: "it is larger than a file may be there; choose another place",
    errno.EROFS: "that place is read-only; choose another",
    errno.EACCES: "you may not write there; choose another place",
    errno.EPERM: "you may not write there; choose another place",
    errno.ENOENT: "the folder does not exist; create it or choose another place",
    errno.ENOTDIR: "its parent is not a folder; choose another place",
    errno.EEXIST: "it is a file, and a folder is needed; choose another place",
    errno.EISDIR: "it is a folder; give a file name",
    errno.ENAMETOOLONG: "its name is too long; choose a shorter one",
}


@contextlib.contextmanager
def write_atomically(path: str | Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """A file to write (`.name` is its temporary path); it takes the place of `path` when the block ends well.

    Whatever goes wrong, what stood at `path` before still stands and no temporary file stays. An OSError from the
    block becomes an ExportError; other exceptions pass. Text modes are UTF-8 with plain newlines.
    """
    target = Path(os.path.realpath(path))  # A link keeps pointing at the file it stands for.
    encoding, newline = (None, None) if "b" in mode else ("utf-8", "\n")
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        _refuse_unwritable(target)
        with open(temporary, mode.replace("w", "x"), encoding=encoding, newline=newline) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _copy_permissions(target, temporary)
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        raise export_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def make_folder(path: Path) -> None:
    """The folder and those above it, where they are not there yet. ExportError when they cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise export_error(path, error) from error


def make_room_for(path: Path) -> None:
    """The folder of a file that much work is to be done for: made, and tried. ExportError when nothing can be written
    there."""
    make_folder(path.parent)
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise export_error(path, error) from error


def export_error(path: str | Path, error: OSError) -> ExportError:
    """The sentence for a target that could not be written."""
    reason = _ADVICE.get(error.errno or 0, error.strerror or str(error))
    return ExportError(f"{path} was not written: {reason}. Whatever stood there before is unchanged.")


def _refuse_unwritable(target: Path) -> None:
    """Renaming over a folder fails late, and over a write-protected file it succeeds: both are refused first."""
    if target.is_dir():
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if target.exists() and not os.access(target, os.W_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))


def _copy_permissions(target: Path, temporary: Path) -> None:
    with contextlib.suppress(OSError):
        temporary.chmod(target.stat().st_mode & 0o7777)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut; not every file system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
