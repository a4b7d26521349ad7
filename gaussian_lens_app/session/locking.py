"""One program at a time in a folder: a lock that the system lets go of, whatever ends the process."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from gaussian_lens_app.errors import FileError

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


LOCK = ".lock"
"""An empty file in the folder. It stays there: one that came and went could be locked by two."""


@dataclass
class _Held:
    descriptor: int
    holders: int = 1


_held: dict[tuple[int, int], _Held] = {}
"""Locked files of this process, by device and number on it: a folder may be moved while it is in use."""
_guard = threading.Lock()


class FolderLock:
    """Keeps other processes out of a folder from its making until `release`; FileError where one is in it.

    Those of one process share it. Where nothing can be locked, on a read-only disk or one without locks, it keeps
    nobody out.
    """

    def __init__(self, folder: Path):
        with _guard:
            self._key = _locked(folder)

    def release(self) -> None:
        """May be called again."""
        with _guard:
            key, self._key = self._key, None
            if key is None:
                return
            _held[key].holders -= 1
            if _held[key].holders == 0:
                os.close(_held.pop(key).descriptor)


def _locked(folder: Path) -> tuple[int, int] | None:
    """The key of the folder's lock, held once more; None where there can be none."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)  # a link could make a file anywhere
    with contextlib.suppress(OSError):
        descriptor = os.open(folder / LOCK, flags, 0o666)
        status = os.fstat(descriptor)
        key = status.st_dev, status.st_ino
        if key in _held:
            os.close(descriptor)
            _held[key].holders += 1
            return key
        if _lock_or_close(descriptor, folder):
            _held[key] = _Held(descriptor)
            return key
    return None


def _lock_or_close(descriptor: int, folder: Path) -> bool:
    """Whether the file is locked now. FileError where another process has it."""
    try:
        _lock(descriptor)
        return True
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError | PermissionError):
            raise FileError(
                f"Another viewer has the project {folder} open: end that one (Ctrl-C where it runs), or open a copy "
                "of the folder, or the scene itself."
            ) from error
        return False
