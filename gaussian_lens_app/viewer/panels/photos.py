"""The photos: where they were taken, what they show of the box, and one of them over the picture."""

from __future__ import annotations

import threading

import numpy as np
import viser
from jaxtyping import UInt8
from scipy.spatial import KDTree
from viser import transforms

from gaussian_lens_app.scene import Capture, Photo, PhotoView
from gaussian_lens_app.viewer import words
from gaussian_lens_app.viewer.desk import Desk
from gaussian_lens_app.viewer.flight import pose_of_camera

ROOT = "/photos"
THUMBNAIL = 120
"""Long side, pixels."""
MOST = 80
"""So many frusta at most, evenly spread: more hide the scene and each other."""
SIZE = 0.12
"""Depth of a frustum, of the typical distance between neighbouring photos."""


class PhotosPanel:
    """One photo is chosen; the buttons are about it."""

    def __init__(self, desk: Desk):
        self.desk = desk
        gui, capture = desk.server.gui, desk.session.capture
        names = [photo.name for photo in capture.photos] if capture is not None else []
        if not names:
            gui.add_markdown("There are no photos: open the scene with `--capture DIR`.")
            self._seen = None
            return
        self._photo = gui.add_dropdown("Photo", names, initial_value=names[desk.first_photo])
        desk.on(self._photo.on_update, lambda client: self._overlay_follows() if client else None)
        self._go = gui.add_button("Go to its view", icon=viser.Icon.CAMERA, color="gray")
        desk.on(self._go.on_click, self.go)
        self._steps = gui.add_button_group("Walk", ["Previous", "Next"])
        desk.on(self._steps.on_click, lambda client: self._step(1 if self._steps.value == "Next" else -1, client))
        self._over = gui.add_checkbox(
            "Overlay photo", False, hint="Over the picture, from the photo's own view. Key: P"
        )
        desk.on(self._over.on_update, lambda client: self.set_overlay(self._over.value, client) if client else None)
        self._opacity = gui.add_slider("Opacity", 0.0, 1.0, 0.05, 0.5, visible=False)
        desk.on(self._opacity.on_update, lambda _: desk.display.set(photo_opacity=float(self._opacity.value)))
        self._frusta = gui.add_checkbox(
            "Show cameras", False, hint="Where the photos were taken; click one to go there. Key: F"
        )
        desk.on(self._frusta.on_update, lambda client: self._show_frusta(self._frusta.value) if client else None)
        with gui.add_folder("Photos of the box"):
            self._line = gui.add_markdown("")
            self._seen = gui.add_dropdown("Best first", ["none"], visible=False)
            self._go_seen = gui.add_button("Go to this one", icon=viser.Icon.CAMERA, color="gray", visible=False)
            desk.on(self._go_seen.on_click, self._go_to_seen)
        self._views: tuple[PhotoView, ...] = ()
        """Photos of the box, best first."""
        self._places: dict[int, viser.CameraFrustumHandle] = {}
        self._asked: object | None = None
        """The click that counts: what an earlier one still adds is not shown any more."""
        self._placing = threading.Lock()

    @property
    def _capture(self) -> Capture:
        assert self.desk.session.capture is not None
        return self.desk.session.capture

    @property
    def _index(self) -> int:
        return [photo.name for photo in self._capture.photos].index(str(self._photo.value))

    def go(self, client: viser.ClientHandle | None, index: int | None = None) -> None:
        """Fly to where the photo was taken, with its field of view."""
        if client is None:
            return
        index = self._index if index is None else index
        self._photo.value = self._capture.photos[index].name
        self._overlay_follows()
        self._step_inside(index)
        self.desk.flights.to(client, pose_of_camera(self._capture.photos[index].camera, self.desk.display.distance))
        self.desk.refresh()

    def _step(self, by: int, client: viser.ClientHandle | None) -> None:
        self.go(client, (self._index + by) % len(self._capture))

    def _go_to_seen(self, client: viser.ClientHandle | None) -> None:
        assert self._seen is not None
        options = list(self._seen.options)
        if self._views and self._seen.value in options:
            self.go(client, self._views[options.index(str(self._seen.value))].photo)

    def _none(self, client: viser.ClientHandle | None) -> bool:
        """Whether there are no photos; whoever asked for them is told."""
        if self._seen is None:
            self.desk.tell(client, "No photos", "Open the scene with --capture DIR to see its photos.")
        return self._seen is None

    def toggle_overlay(self, client: viser.ClientHandle | None) -> None:
        if not self._none(client):
            self.set_overlay(not self._over.value, client)

    def set_overlay(self, on: bool, client: viser.ClientHandle | None) -> None:
        """The chosen photo over the picture; goes to its view where the camera stands elsewhere."""
        self._over.value = self._opacity.visible = on
        self.desk.display.set(photo=self._index if on else None)
        if on and client is not None:
            self.go(client)

    def _overlay_follows(self) -> None:
        if self._over.value:
            self.desk.display.set(photo=self._index)

    def toggle_frusta(self, client: viser.ClientHandle | None) -> None:
        if not self._none(client):
            self._frusta.value = not self._frusta.value
            self._show_frusta(self._frusta.value)

    def _show_frusta(self, on: bool) -> None:
        with self._placing:
            asked = self._asked = object()
            self.desk.server.scene.remove_by_name(ROOT)
            self._places = {}
        if not on:
            return
        photos = self._capture.photos
        scale = SIZE * spacing(self._capture) / self.desk.host.unit
        for index in np.unique(np.linspace(0, len(photos) - 1, min(len(photos), MOST)).round().astype(int)):
            image = photos[index].thumbnail(THUMBNAIL).numpy()
            with self._placing:
                if self._asked is not asked:
                    return
                self._places[int(index)] = self._add_frustum(int(index), photos[index], image, scale)

    def _step_inside(self, index: int) -> None:
        """From within, a frustum's thumbnail would cover the scene: the chosen photo's is not shown."""
        with self._placing:
            for other, place in self._places.items():
                place.visible = other != index

    def _add_frustum(
        self, index: int, photo: Photo, image: UInt8[np.ndarray, "h w 3"], scale: float
    ) -> viser.CameraFrustumHandle:
        camera = photo.camera.to("cpu")
        frustum = self.desk.server.scene.add_camera_frustum(
            f"{ROOT}/{index}",
            fov=2 * float(np.arctan(camera.height / (2 * float(camera.K[1, 1])))),
            aspect=camera.width / camera.height,
            scale=scale,
            thickness=1.5,
            thickness_units="screen",
            color=(255, 176, 32),
            image=image,
            wxyz=transforms.SO3.from_matrix(camera.camtoworld[:3, :3].double().numpy()).wxyz,
            position=camera.position.numpy() / self.desk.host.unit,
            visible=index != self._index,
        )
        self.desk.on(frustum.on_click, lambda client: self.go(client, index))
        return frustum

    def refresh(self) -> None:
        if self._seen is None:
            return
        selection = self.desk.session.selection
        region = None if selection is None else selection.region
        if region is not None or selection is None or not self._views:  # else the same box in a scene that has changed
            self._views = () if region is None else region.views
            self._line.content = words.photos_line(selection, self._capture)
        views = self._views
        self._seen.visible = self._go_seen.visible = bool(views)
        edits = self.desk.session.history
        left_out = {name for edit in edits for name in edit.patch.provenance.get("left_out", ())}
        labels = [words.view_label(rank, view, self._capture, left_out) for rank, view in enumerate(views, 1)]
        if labels and list(self._seen.options) != labels:
            self._seen.options = labels


def spacing(capture: Capture) -> float:
    """Typical distance from a photo's place to the nearest other's, world units."""
    if len(capture) < 2:
        return 1.0
    places = np.stack([photo.camera.position.cpu().numpy() for photo in capture.photos])
    nearest = KDTree(places).query(places, k=2)[0][:, 1]  # the nearest of all is the place itself
    return float(np.median(nearest)) or 1.0
