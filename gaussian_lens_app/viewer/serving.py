"""Files in, a served viewer out: what `gsr-view` runs."""

from __future__ import annotations

import contextlib
import sys
import threading
import warnings
import webbrowser
from pathlib import Path

from gaussian_lens_app.errors import FileError, GsrError
from gaussian_lens_app.raster import for_device
from gaussian_lens_app.raster.warmup import warm_up
from gaussian_lens_app.session import RegionsChanged, SceneChanged, Session, open_session
from gaussian_lens_app.session.close_views import CLOSE_VIEWS
from gaussian_lens_app.session.events import Event
from gaussian_lens_app.session.project import Project, is_project, new_project, open_project, project_folder
from gaussian_lens_app.viewer.app import View

NOT_WORK = (CLOSE_VIEWS, "undo", "redo")
"""Steps that are nothing to save while there was no other: readying the scene, and taking that back."""


def view(
    scene: Path,
    capture: Path | None = None,
    *,
    device: str = "auto",
    host: str = "127.0.0.1",
    port: int = 8080,
    open_browser: bool = True,
    project: Path | None = None,
    exports: Path | None = None,
    first_photo: str | None = None,
    close_views: bool = True,
) -> None:
    """Open a scene or a project in the browser and serve it until interrupted; prints where, in one line, when ready.

    `close_views`: ready a scene made from smaller photos for views from nearby, as an edit that can be undone.
    The work is saved in `project`, by default a folder beside the exports that is made at the first upgrade.
    """
    # A browser that leaves while a frame is on its way is no news.
    warnings.filterwarnings("ignore", "Queued a .* on a closed connection")
    _warm_up(device)
    reopened = is_project(scene) or (project is not None and is_project(project))
    session, opened = _open(scene, capture, device, project)
    try:
        at = 0 if first_photo is None or session.capture is None else _index(session, first_photo)
        viewer = View(session, host, port, project=opened, exports=exports, first_photo=at)
    except BaseException:
        session.close()
        raise
    try:
        if opened is None:
            _save_from_the_first_step_on(viewer, Path(scene), capture)
        if close_views and not reopened:  # a project has it already, or its user took it back
            session.ready_close_views()
        if port not in (0, viewer.port):
            _aside(f"Port {port} is taken; this is on the next free one.")
        print(f"Ready: {viewer.url}", flush=True)
        if open_browser:
            webbrowser.open(viewer.url)
        viewer.serve()
    finally:
        viewer.stop()
        session.close()


def _open(scene: Path, capture: Path | None, device: str, project: Path | None) -> tuple[Session, Project | None]:
    """The session, and its project where there is one already or one was asked for."""
    if is_project(scene):
        if project is not None and not _same(scene, project):
            raise FileError(f"{scene} is a project itself, and what is done to it is saved there: leave out {project}.")
        return open_project(scene, device, capture=capture)
    if project is not None and is_project(project):
        return open_project(project, device, scene=scene, capture=capture)
    session = open_session(scene, capture, device)
    if project is None:
        return session, None
    try:
        return session, new_project(project, scene, capture, session)
    except BaseException:
        session.close()
        raise


def _same(one: Path, other: Path) -> bool:
    """Whether both are the same project, each given by its folder or by the file in it."""
    return project_folder(one) == project_folder(other)


def _index(session: Session, photo: str) -> int:
    assert session.capture is not None
    return session.capture.photos.index(session.capture.named(photo))


def _save_from_the_first_step_on(viewer: View, scene: Path, capture: Path | None) -> None:
    """Make a project when there is something to save; that a folder cannot be made is told once, and stays on the panel
    until a later step finds that it can."""

    def on_event(event: Event) -> None:
        if not isinstance(event, SceneChanged) or event.reason in NOT_WORK or viewer.desk.project is not None:
            return
        desk = viewer.desk
        try:
            folder = free_folder(desk.exports, f"{scene.stem or 'scene'}_project")
            desk.project = new_project(folder, scene, capture, viewer.session)
        except (GsrError, OSError) as error:
            if desk.unsaved is None:
                desk.tell(None, "Your work is not saved", str(error), bad=True)
            desk.unsaved = str(error)
            desk.refresh()
            return
        stop()
        desk.unsaved = None
        viewer.session.subscribe(told)
        desk.project.set_home(desk.home)
        desk.set_bookmarks(desk.bookmarks)

    def told(event: Event) -> None:
        """The project, which listens after the panel, knows by now whether that was saved."""
        if isinstance(event, SceneChanged | RegionsChanged):
            viewer.desk.refresh()

    stop = viewer.session.subscribe(on_event)


def free_folder(parent: Path, name: str) -> Path:
    """The first of name, name_2, ... that is not there."""
    folder, number = parent / name, 2
    while folder.exists():
        folder, number = parent / f"{name}_{number}", number + 1
    return folder


def _warm_up(device: str) -> None:
    """Compile in the background while the files are read; says so where it takes long."""

    def work() -> None:
        # What goes wrong here goes wrong again, and is told, at the first picture; unless the program is ending.
        with contextlib.suppress(Exception):
            warm_up(_aside)
            _warm_up_fitting()

    if for_device(device).device == "cpu":
        threading.Thread(target=work, name="warm-up", daemon=True).start()


def _warm_up_fitting() -> None:
    """The loss of the first upgrade, whose seconds should go into the work."""
    import torch

    from gaussian_lens_app.optimize.losses import l1_dssim

    picture = torch.zeros(16, 16, 3, requires_grad=True)
    l1_dssim(picture, torch.zeros(16, 16, 3), mask=torch.ones(16, 16)).backward()


def _aside(line: str) -> None:
    """Beside the one line on standard output that other programs may read."""
    print(line, file=sys.stderr, flush=True)
