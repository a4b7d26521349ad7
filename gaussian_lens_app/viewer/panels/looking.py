"""How the scene is drawn, and where it is looked at from."""

from __future__ import annotations

import dataclasses

import viser

from gaussian_lens_app.session.looks import Picture, turned_up
from gaussian_lens_app.viewer.desk import Desk
from gaussian_lens_app.viewer.display import camera_of
from gaussian_lens_app.viewer.first_view import whole_view
from gaussian_lens_app.viewer.theme import set_theme


class LookingPanel:
    """Drawing, and the camera."""

    def __init__(self, desk: Desk):
        self.desk = desk
        gui = desk.server.gui
        with gui.add_folder("Camera"):
            self._add_camera()
        with gui.add_folder("Picture"):
            self._add_picture()
        desk.server.scene.on_click(modifier="cmd/ctrl")(
            lambda event: desk.attempt(lambda: self._focus(event), event.client)
        )

    def _add_camera(self) -> None:
        gui = self.desk.server.gui
        self._ways = gui.add_button_group("Go to", ["Start", "Whole scene"])
        self.desk.on(self._ways.on_click, lambda client: self._go(str(self._ways.value), client))
        turn = gui.add_button(
            "Turn the up axis", icon=viser.Icon.ROTATE, color="gray", hint="The file keeps its frame."
        )
        self.desk.on(turn.on_click, self.turn)
        self.auto_fly = gui.add_checkbox("Fly to upgrades", False, hint="When one is swapped in, fly to its box.")
        gui.add_markdown("**Ctrl**-click on something to turn around it.")

    def _add_picture(self) -> None:
        gui, desk = self.desk.server.gui, self.desk
        self._picture = gui.add_dropdown("Shows", [picture.value for picture in Picture])
        desk.on(self._picture.on_update, lambda _: desk.display.set(picture=Picture(self._picture.value)))
        degree = desk.session.scene.sh_degree
        self._degree = gui.add_slider(
            "SH degree", 0, max(1, degree), 1, degree, visible=degree > 0, hint="Colour that depends on the view."
        )
        desk.on(self._degree.on_update, lambda _: self._set_degree())
        self._smooth = gui.add_checkbox(
            "Anti-aliased", desk.session.mode.antialiased, hint="Off for scenes that were trained without it."
        )
        desk.on(self._smooth.on_update, lambda _: desk.display.set_antialiased(self._smooth.value))
        self._tint = gui.add_checkbox("Tint selected", True, hint="Colour the selected Gaussians.")
        desk.on(self._tint.on_update, lambda _: desk.display.set_tint(self._tint.value))
        self._background = gui.add_rgb("Background", (0, 0, 0))
        desk.on(self._background.on_update, lambda _: self._set_background())
        self._dark = gui.add_checkbox("Dark panel", True)
        desk.on(self._dark.on_update, lambda _: set_theme(desk.server, dark=self._dark.value))

    def _set_degree(self) -> None:
        degree = int(self._degree.value)
        self.desk.display.set(sh_degree=None if degree >= self.desk.session.scene.sh_degree else degree)

    def _set_background(self) -> None:
        red, green, blue = (value / 255 for value in self._background.value)
        self.desk.display.set(background=(red, green, blue))

    def _go(self, where: str, client: viser.ClientHandle | None) -> None:
        if client is None:
            return
        up = self.desk.flights.pose(client).up
        whole = where == "Whole scene"
        self.desk.flights.to(client, whole_view(self.desk.session.scene, up) if whole else self.desk.home)
        self.desk.refresh()

    def turn(self, client: viser.ClientHandle | None) -> None:
        """Another axis points up, on the screen only."""
        if client is None:
            return
        up = turned_up(self.desk.flights.pose(client).up)
        self.desk.server.scene.set_up_direction(up)
        self.desk.home = dataclasses.replace(self.desk.home, up=up)
        for one in self.desk.server.get_clients().values():
            one.camera.up_direction = up
        if self.desk.project is not None:
            x, y, z = (float(value) for value in up)
            self.desk.project.set_up((x, y, z))

    def _focus(self, event: viser.SceneClickEvent) -> None:
        """Turn around what was clicked."""
        desk = self.desk
        view = desk.host.get_camera_state(event.client)
        camera = camera_of(view, (view.width, view.height))
        x, y = (min(max(p, 0.0), 0.999) * n for p, n in zip(event.screen_pos, (view.width, view.height), strict=True))
        point = desk.display.point_at(camera, x, y)
        if point is None:
            desk.tell(event.client, "Nothing is there", "Click on something that is drawn.")
            return
        with event.client.atomic():
            event.client.camera.look_at = point / desk.host.unit
