"""What a program that keeps to no rules can do at the door: over a bare socket, and with messages no browser sends."""

import contextlib
import socket
import threading
import time
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import viser
from flat import flat_session, served, still_serves
from websockets.exceptions import ConnectionClosed

from gaussian_lens_app.viewer import View
from gaussian_lens_app.viewer.doors import LONGEST_MESSAGE, cookie_of
from gaussian_lens_app.viewer.scripted import ScriptedBrowser

EYE, CENTRE = np.array([0.0, 0.0, -3.0]), np.zeros(3)


@pytest.fixture(scope="module")
def viewer():
    with served() as viewer:
        yield viewer


def resident() -> int:
    """Bytes of this process, the server's."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


ENDLESS = {
    "body": (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000000000\r\n\r\n", bytes(65536)),
    "chunks": (b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + bytes(65536)),
    "a long header": (b"GET / HTTP/1.1\r\n", b"X-Long: " + b"a" * 65536),
    "many headers": (b"GET / HTTP/1.1\r\n", b"X-Many: a\r\n" * 4096),
    "a line without end": (b"", b"a" * 65536),
    "drops of a header": (b"GET / HTTP/1.1\r\n", b"a"),
}
"""What opens an upload, and what follows for as long as the server takes it."""


def test_uploads_without_end_are_kept_nowhere_and_cut_off_within_seconds(viewer):
    before, taken = resident(), {}

    def send(name: str) -> None:
        first, piece = ENDLESS[name]
        begun = time.monotonic()
        with (
            socket.create_connection(("127.0.0.1", viewer.port), timeout=40) as connection,
            contextlib.suppress(OSError),
        ):
            connection.sendall(first)
            while time.monotonic() - begun < 40:
                connection.sendall(piece)
                time.sleep(0.01)
        taken[name] = time.monotonic() - begun

    senders = [threading.Thread(target=send, args=(name,)) for name in ENDLESS]
    for sender in senders:
        sender.start()
    time.sleep(2)
    still_serves(viewer)
    for sender in senders:
        sender.join(45)
    assert set(taken) == set(ENDLESS)
    assert max(taken.values()) < 25, taken
    assert resident() - before < 60_000_000
    still_serves(viewer)


@pytest.mark.parametrize(
    "path",
    [b"/a\0b", b"/..\\..\\etc\\passwd", b"/%00", b"/%2e%2e%2fetc%2fpasswd", b"/index.html\0.js", b"/" + b"../" * 30],
)
def test_a_path_with_separators_or_nul_opens_nothing(viewer, path):
    request = b"GET " + path + b" HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n" % viewer.port
    with socket.create_connection(("127.0.0.1", viewer.port), timeout=10) as connection:
        connection.sendall(request)
        received = b""
        while more := connection.recv(65536):
            received += more
    assert b"root:" not in received
    assert received == b"" or not received.startswith(b"HTTP/1.1 200") or b"<!doctype html" in received.lower()
    still_serves(viewer)


@pytest.mark.parametrize("second", ["Host: evil.example", "host: 127.0.0.1:{port}", "HOST:localhost"])
def test_two_hosts_are_refused_whichever_they_name(viewer, second):
    lines = ["GET / HTTP/1.1", f"Host: 127.0.0.1:{viewer.port}", second.format(port=viewer.port), "", ""]
    with socket.create_connection(("127.0.0.1", viewer.port), timeout=10) as connection:
        connection.sendall("\r\n".join(lines).encode())
        assert connection.recv(300).split()[1] == b"403"


def test_the_token_of_a_server_that_has_ended_does_not_open_the_next_one():
    """Tokens are not kept anywhere: a replayed one, in the address or as its cookie, is a wrong one."""
    tokens = []
    for _ in range(2):
        session, _ = flat_session()
        viewer = View(session, host="0.0.0.0", port=0)
        try:
            if tokens:
                assert answer_to(viewer.port, f"/?token={tokens[0]}") == 403
                old, new = (cookie_of(token) for token in (tokens[0], viewer.server.token))
                for cookie in ("=".join(old), f"{new[0]}={old[1]}", f"{new[0]}="):
                    assert answer_to(viewer.port, "/", f"Cookie: {cookie}") == 403
                assert answer_to(viewer.port, "/", f"Cookie: {'='.join(new)}") == 200
            tokens.append(viewer.server.token)
        finally:
            viewer.stop()
            session.close()
    assert tokens[0] != tokens[1]


def answer_to(port: int, path: str, *headers: str) -> int:
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *headers, "", ""]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall("\r\n".join(lines).encode())
        return int(connection.recv(300).split()[1])


def test_a_message_beyond_any_a_browser_sends_ends_its_connection(viewer):
    with ScriptedBrowser(viewer.url) as hostile:
        hostile._connection.send(bytes(LONGEST_MESSAGE + 1))
        with pytest.raises(ConnectionClosed) as closed:
            read_to_the_end(hostile)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009  # too big
    still_serves(viewer)


def read_to_the_end(browser: ScriptedBrowser) -> None:
    while True:
        browser._connection.recv(timeout=10)


def test_a_file_sent_to_a_control_that_takes_none_is_kept_nowhere(viewer):
    """viser would keep the parts of a file for whichever control it is said to be for."""
    control = next(iter(viewer.server.gui._gui_input_handle_from_uuid))
    with ScriptedBrowser(viewer.url, 320, 240) as hostile:
        hostile._send(
            type="FileTransferStartUpload", source_component_uuid=control, transfer_uuid="t", filename="../../x\0.ply",
            mime_type="", part_count=10**9, size_bytes=10**15,
        )  # fmt: skip
        before = resident()
        for part in range(100):
            hostile._send(
                type="FileTransferPart", source_component_uuid=control, transfer_uuid="t", part_index=part,
                content=bytes(1_000_000),
            )  # fmt: skip
        hostile.look(EYE, CENTRE)
        assert hostile.frame(20) is not None  # all before it was read
        assert viewer.server.gui._current_file_upload_states == {}
        assert resident() - before < 30_000_000
    still_serves(viewer)


def test_a_browser_that_never_reads_does_not_grow_the_server(viewer):
    """Pictures that wait for it are replaced by newer ones: a hundred more are drawn, and hardly any are kept."""
    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 3)).astype(np.uint8)
    drawn, real = [], viewer.host.render_fn

    def draw(view, size):
        drawn.append(size)
        return np.roll(noise, len(drawn), 0)[: size[1], : size[0]].copy()

    def draw_more(count: int) -> None:
        goal, end = len(drawn) + count, time.monotonic() + 60
        while len(drawn) < goal:
            assert time.monotonic() < end
            viewer.host.rerender()
            time.sleep(0.02)

    viewer.host.render_fn = draw
    try:
        with ScriptedBrowser(viewer.url, 1200, 900) as stuck:
            stuck.look(EYE, CENTRE)
            draw_more(30)  # enough to fill what the system keeps for the connection
            before = resident()
            draw_more(100)
            assert resident() - before < 20 * len(jpeg(noise))
    finally:
        viewer.host.render_fn = real
    still_serves(viewer)


def jpeg(picture: np.ndarray) -> bytes:
    return iio.imwrite("<bytes>", picture, extension=".jpg", quality=90)


def test_the_limits_hold_what_viser_was_read_for():
    assert viser.__version__.startswith("1.1."), "Read viser's infra/_infra.py and _gui_api.py again."
