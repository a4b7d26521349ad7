"""A browser without a screen: speaks viser's protocol, to measure and to test what a real one would get."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import imageio.v3 as iio
import msgspec.msgpack
import numpy as np
import viser
import zstandard
from jaxtyping import Float, UInt8
from viser import transforms
from websockets.sync.client import ClientConnection, connect

from gaussian_lens_app.viewer.doors import cookie_of


@dataclass(frozen=True)
class Frame:
    """A picture as it came."""

    jpeg: bytes
    at: float
    """time.perf_counter() when it arrived."""

    def pixels(self) -> UInt8[np.ndarray, "h w 3"]:
        return iio.imread(io.BytesIO(self.jpeg), extension=".jpeg")

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        height, width = self.pixels().shape[:2]
        return width, height


@dataclass
class ScriptedBrowser:
    """One connection; use as a context."""

    url: str
    """What the viewer printed: http://..."""
    width: int = 640
    height: int = 480
    fov: float = 1.0
    """Vertical, radians."""
    messages: list[dict[str, Any]] = field(default_factory=list)
    """Everything received but frames."""
    _socket: ClientConnection | None = None

    def __enter__(self) -> ScriptedBrowser:
        parts = urlsplit(self.url)
        tokens = parse_qs(parts.query).get("token", [])
        self._socket = connect(
            f"ws://{parts.netloc}",
            origin=f"http://{parts.netloc}",  # pyright: ignore[reportArgumentType]
            additional_headers={"Cookie": "=".join(cookie_of(tokens[0]))} if tokens else None,
            subprotocols=[f"viser-v{viser.__version__}"],  # pyright: ignore[reportArgumentType]
            compression=None,
            max_size=None,
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._socket is not None:
            self._socket.close()

    def look(self, position: Float[np.ndarray, "3"], look_at: Float[np.ndarray, "3"], down=(0.0, 1.0, 0.0)) -> None:
        """Tell the server where the camera is."""
        forward = look_at - position
        forward = forward / np.linalg.norm(forward)
        right = np.cross(down, forward)
        right = right / np.linalg.norm(right)
        R = np.stack([right, np.cross(forward, right), forward], axis=1)
        wxyz = transforms.SO3.from_matrix(R.astype(np.float64)).wxyz
        self._send(
            type="ViewerCameraMessage",
            wxyz=wxyz.tolist(),
            position=np.asarray(position, dtype=float).tolist(),
            fov=self.fov,
            near=0.01,
            far=1000.0,
            image_height=self.height,
            image_width=self.width,
            look_at=np.asarray(look_at, dtype=float).tolist(),
            up_direction=[-float(x) for x in down],
        )

    def drag(self, x0: float, y0: float, x1: float, y1: float, modifier: str | None = "shift") -> None:
        """Drag a box; corners as shares of the picture."""
        self._send(
            type="ScenePointerMessage",
            event_type="rect-select",
            ray_origin=None,
            ray_direction=None,
            screen_pos=[[x0, y0], [x1, y1]],
            modifier=modifier,
        )

    def type_into(self, control: Any, value: Any) -> None:
        """Set a control of the panel, as a person's hand would."""
        self._send(type="GuiUpdateMessage", uuid=control._impl.uuid, updates={"value": value})

    def frame(self, timeout: float = 5.0) -> Frame | None:
        """The next picture, None when none comes in time."""
        end = time.perf_counter() + timeout
        while (left := end - time.perf_counter()) > 0:
            try:
                raw = self._connection.recv(timeout=left)
            except TimeoutError:
                return None
            frames = self._frames(bytes(raw))  # pyright: ignore[reportArgumentType]
            if frames:
                return frames[-1]
        return None

    def last_frame(self, quiet: float = 0.6, timeout: float = 20.0) -> Frame | None:
        """The newest picture once none has come for `quiet` seconds."""
        last, end = None, time.perf_counter() + timeout
        while time.perf_counter() < end:
            frame = self.frame(quiet)
            if frame is None and last is not None:
                return last
            last = frame or last
        return last

    def _frames(self, raw: bytes) -> list[Frame]:
        packed = int.from_bytes(raw[8:16], "little")
        window = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(raw[16 : 16 + packed]))
        now, frames = time.perf_counter(), []
        for message in window["messages"]:
            if message["type"] == "BackgroundImageMessage" and message["rgb_data"] is not None:
                frames.append(Frame(message["rgb_data"], now))
            else:
                self.messages.append(message)
        return frames

    def _send(self, **message: Any) -> None:
        self._connection.send(msgspec.msgpack.encode(message))

    @property
    def _connection(self) -> ClientConnection:
        if self._socket is None:
            raise RuntimeError("Use a ScriptedBrowser in a with statement.")
        return self._socket
