"""What the panels share."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import viser

from gaussian_lens_app.errors import GsrError, JobCancelled
from gaussian_lens_app.session import Session
from gaussian_lens_app.session.looks import Pose
from gaussian_lens_app.session.project import Project
from gaussian_lens_app.viewer.display import Display
from gaussian_lens_app.viewer.flight import Flights
from gaussian_lens_app.viewer.host import Host
from gaussian_lens_app.viewer.words import error_line

if TYPE_CHECKING:
    from gaussian_lens_app.viewer.box_tool import BoxTool

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Desk:
    """One server, one session, and the ways to answer the people at the screens."""

    server: viser.ViserServer
    session: Session
    display: Display
    host: Host
    flights: Flights
    box_tool: BoxTool
    home: Pose
    """The first view."""
    exports: Path
    """The only folder that files are written to from the browser."""
    project: Project | None = None
    bookmarks: tuple[Pose, ...] = ()
    first_photo: int = 0
    """The photo that the first view is from."""
    unsaved: str | None = None
    """Why there is no project though there is something to save."""
    refresh: Callable[[], None] = field(default=lambda: None)
    """Every line and every button as the session is now."""

    def tell(self, client: viser.ClientHandle | None, title: str, body: str, bad: bool = False) -> None:
        """A note for the one who asked; for all, where nobody in particular did. A bad one stays until it is closed."""
        clients = self.server.get_clients().values() if client is None else (client,)
        for one in clients:
            one.add_notification(title, body, color="red" if bad else None, auto_close_seconds=None if bad else 6.0)

    def attempt(
        self,
        action: Callable[[], object],
        client: viser.ClientHandle | None = None,
        title: str = "That did not work",
    ) -> None:
        """Do it; an error of any kind becomes a note under that title, for who asked cannot see the server's log."""
        try:
            action()
        except JobCancelled:
            pass  # by somebody who knows
        except Exception as error:
            if not isinstance(error, GsrError):
                log.exception("%s", title)
            self.tell(client, title, error_line(error), bad=True)

    def on(self, register: Callable, action: Callable[[viser.ClientHandle | None], object]) -> None:
        """Do this when a button, a field or a key is used: `on(button.on_click, lambda client: ...)`.

        Errors become notes for that browser; viser would only print them on the server.
        """
        register(lambda event: self.attempt(lambda: action(event.client), event.client))

    def set_bookmarks(self, bookmarks: tuple[Pose, ...]) -> None:
        """Keep them, on disk where there is a project."""
        self.bookmarks = bookmarks
        if self.project is not None:
            self.project.set_bookmarks(bookmarks)
        self.refresh()
