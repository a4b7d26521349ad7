"""A browser for tests that call the panel themselves."""

from types import SimpleNamespace


class Visitor:
    """A browser that keeps what it is told and sent."""

    client_id = 7

    def __init__(self):
        self.told: list[tuple[str, str]] = []
        self.files: dict[str, bytes] = {}
        place = {"position": (0.0, 0.0, -3.0), "look_at": (0.0, 0.0, 0.0), "up_direction": (0.0, -1.0, 0.0)}
        self.camera = SimpleNamespace(**place, fov=1.0, image_width=64, image_height=48)

    def add_notification(self, title: str, body: str, **_) -> None:
        self.told.append((title, body))

    def send_file_download(self, name: str, data: bytes) -> None:
        self.files[name] = data
