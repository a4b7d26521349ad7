"""Bookmarks, screenshots and films."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import viser

from gaussian_lens_app.jobs import Job
from gaussian_lens_app.session.painting import Painter
from gaussian_lens_app.session.recording import (
    FOR_MP4,
    FPS,
    along,
    camera_at,
    png,
    turntable,
    video_suffixes,
    write_video,
)
from gaussian_lens_app.viewer import words
from gaussian_lens_app.viewer.desk import Desk
from gaussian_lens_app.viewer.downloads import bytes_of, free_file, safe_name

NONE = "none yet"
TURNTABLE, PATH = "Around the middle", "Along the bookmarks"


class RecordsPanel:
    """Views to keep, and pictures to take away."""

    def __init__(self, desk: Desk):
        self.desk = desk
        self._film_job: Job | None = None
        self._made: Path | None = None
        """The last film."""
        self._lock = threading.Lock()
        gui = desk.server.gui
        with gui.add_folder("Bookmarks"):
            self._add = gui.add_button("Bookmark this view", icon=viser.Icon.BOOKMARK, color="gray", hint="Key: M")
            desk.on(self._add.on_click, self.bookmark)
            self._list = gui.add_dropdown("Bookmark", [NONE], visible=False)
            self._go = gui.add_button("Go there", color="gray", visible=False)
            desk.on(self._go.on_click, self._fly)
            self._remove = gui.add_button("Forget it", color="gray", visible=False)
            desk.on(self._remove.on_click, lambda _: self._forget())
        with gui.add_folder("Screenshot and film", expand_by_default=False):
            self._size = gui.add_vector2("Size", (1920, 1080), min=(1, 1), max=(8192, 8192), step=1)
            self._shot = gui.add_button("Screenshot", icon=viser.Icon.PHOTO, color="gray", hint="A PNG, any size.")
            desk.on(self._shot.on_click, self._take)
            self._way = gui.add_dropdown("Film", [TURNTABLE, PATH])
            self._seconds = gui.add_slider("Film seconds", 1, 30, 1, 6)
            kinds = video_suffixes()
            more = None if ".mp4" in kinds else f"{FOR_MP4}, then start again."
            self._kind = gui.add_dropdown("Kind", list(kinds), hint=more)
            self._film = gui.add_button("Make the film", icon=viser.Icon.VIDEO, color="gray")
            desk.on(self._film.on_click, self.make_film)
            self._bar = gui.add_progress_bar(0.0, visible=False)
            self._fetch = gui.add_button("Download the film", icon=viser.Icon.DOWNLOAD, color="gray", visible=False)
            desk.on(self._fetch.on_click, self._send_film)

    # ---- bookmarks

    def bookmark(self, client: viser.ClientHandle | None) -> None:
        if client is None:
            return
        names = {pose.name for pose in self.desk.bookmarks}
        number = next(i for i in range(1, len(names) + 2) if f"View {i}" not in names)
        pose = dataclasses.replace(self.desk.flights.pose(client), name=f"View {number}")
        self.desk.set_bookmarks((*self.desk.bookmarks, pose))
        self._list.value = pose.name
        self.desk.tell(client, pose.name, "This view is kept: View tab, Bookmarks.")

    def _chosen(self):
        return next((pose for pose in self.desk.bookmarks if pose.name == self._list.value), None)

    def _fly(self, client: viser.ClientHandle | None) -> None:
        pose = self._chosen()
        if client is not None and pose is not None:
            self.desk.flights.to(client, pose)

    def _forget(self) -> None:
        pose = self._chosen()
        self.desk.set_bookmarks(tuple(one for one in self.desk.bookmarks if one is not pose))

    # ---- pictures

    def _painter(self) -> Painter:
        """Its own, so that a film does not fight the browser's pictures for what is kept."""
        return Painter(self.desk.session)

    @property
    def _pixels(self) -> tuple[int, int]:
        return int(self._size.value[0]), int(self._size.value[1])

    def _take(self, client: viser.ClientHandle | None) -> None:
        if client is None:
            return
        pose, display = self.desk.flights.pose(client), self.desk.display
        name = safe_name(f"{self.desk.session.name.rsplit('.', 1)[0]}.png", "picture.png")

        def take() -> None:
            camera = camera_at(pose, *self._pixels)
            client.send_file_download(name, png(self._painter().paint, camera, display.looks_for(camera)))

        self.desk.attempt(take, client)

    def make_film(self, client: viser.ClientHandle | None) -> None:
        if self._film_job is not None and not self._film_job.state.finished:
            self._film_job.cancel()
            return
        if client is not None:
            self.desk.attempt(lambda: self._film_for(client), client, "No film")
            self.show_progress()

    def _film_for(self, client: viser.ClientHandle) -> None:
        desk, frames, size = self.desk, int(self._seconds.value) * FPS, self._pixels
        looks = dataclasses.replace(desk.display.looks, photo=None)  # the camera leaves the photo's place
        here = desk.flights.pose(client)
        name = safe_name(f"{desk.session.name.rsplit('.', 1)[0]}{self._kind.value}", "film.webp")
        poses = turntable(here, frames) if self._way.value == TURNTABLE else along(desk.bookmarks, frames)
        paint = self._painter().paint
        self._film_job = desk.session.film(
            "Film", lambda report: write_video(free_file(desk.exports, name), paint, poses, size, looks, report)
        )
        path = self._made = self._film_job.result()
        desk.tell(client, "Film made", f"{words.size_of(path)} in {path.name}, folder {path.parent}")

    def _send_film(self, client: viser.ClientHandle | None) -> None:
        path = self._made
        if client is not None and path is not None:
            again = f"fetch it from {path.parent}, or make it anew"
            self.desk.attempt(lambda: client.send_file_download(path.name, bytes_of(path, again)), client)

    def show_progress(self) -> None:
        with self._lock:  # both the job's thread and the browser's come by: who looks last must write last
            job = self._film_job
            running = job is not None and not job.state.finished
            self._bar.visible, self._fetch.visible = running, self._made is not None and not running
            self._film.label = "Stop the film" if running else "Make the film"
            if job is not None and running:
                self._bar.value = 100 * job.status.fraction

    def refresh(self) -> None:
        names = [pose.name for pose in self.desk.bookmarks]
        self._list.visible = self._go.visible = self._remove.visible = bool(names)
        if list(self._list.options) != (names or [NONE]):
            self._list.options = names or [NONE]
