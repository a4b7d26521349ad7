"""One user's work on one scene."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gaussian_lens_app.jobs import Job, Report
from gaussian_lens_app.scene import Region
from gaussian_lens_app.session.exporting import ExportSettings, losses, write_scene
from gaussian_lens_app.session.history import Edited
from gaussian_lens_app.session.selections import Selections
from gaussian_lens_app.session.steps import Steps
from gaussian_lens_app.session.upgrading import Upgrades


class Session(Selections, Upgrades, Steps):
    """The scene as edited so far. Reading `scene` needs no lock; every edit is one assignment.

    Upgrades run one at a time on a worker, each on the scene as it is when its turn comes. `upgrade` and `select` are
    the seams: a test, or another program, may hand in its own.
    """

    def export(self, path: Path | str, settings: ExportSettings = ExportSettings()) -> Path:  # noqa: B008  frozen
        """The scene as edited, written in one step; the file's own frame, properties and untouched bits are kept."""
        with self._lock:
            (edited, selected), arrangement = self._selected_now(), self.work.arrangement
        titles = tuple((self.work.title(edit), edit) for edit in arrangement.edits)
        return write_scene(Path(path).expanduser(), edited, titles, self.file, settings, selected, self.capture)

    def losses(self, path: Path, settings: ExportSettings) -> tuple[str, ...]:
        """Sentences on what an export of that name will not say or not exactly. ExportError when the part is empty."""
        with self._lock:
            edited, selected = self._selected_now()
        return losses(path, edited, settings, selected)

    def _selected_now(self) -> tuple[Edited, Region | None]:
        """The scene, and what is selected in this very scene; under the lock."""
        return self.edited, None if self.selection is None else self.selection.region

    def in_background(self, name: str, work: Callable[[Report], Any]) -> Job[Any]:
        """Do something slow with files on the worker for files."""
        return self._files.submit(name, work, self._job_changed)

    def film(self, name: str, work: Callable[[Report], Any]) -> Job[Any]:
        """Do something slow with pictures on the worker for films: an export does not wait for minutes of them."""
        return self._films.submit(name, work, self._job_changed)

    def close(self) -> None:
        """Stop all work; the session tells nothing any more."""
        self._listeners = ()
        for one in (self._worker, self._files, self._films, self._selector):
            one.close()
        for call in self._at_close:
            call()
