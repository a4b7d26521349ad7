"""Only the server's own pages, under its own name, get in: over HTTP and over WebSocket."""

import socket
import threading

import pytest
import viser
from flat import flat_session

from gaussian_lens_app.errors import GsrError
from gaussian_lens_app.viewer import View
from gaussian_lens_app.viewer.doors import doors_closed_to_strangers, refusal
from gaussian_lens_app.viewer.scripted import ScriptedBrowser
from gaussian_lens_app.viewer.server import free_port


@pytest.fixture(scope="module")
def viewer():
    session, _ = flat_session()
    viewer = View(session, port=0)
    yield viewer
    viewer.stop()
    session.close()


def status(port: int, *headers: str, upgrade: bool = False) -> int:
    """The status line's number for a request with exactly these headers."""
    lines = ["GET / HTTP/1.1", *headers]
    if upgrade:
        lines += [
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Protocol: viser-v{viser.__version__}",
        ]
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return int(connection.recv(200).split()[1])


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]", "LOCALHOST"])
@pytest.mark.parametrize(("upgrade", "welcome"), [(False, 200), (True, 101)])
def test_its_own_names_get_in(viewer, name, upgrade, welcome):
    host = f"Host: {name}:{viewer.port}"
    assert status(viewer.port, host, upgrade=upgrade) == welcome
    assert status(viewer.port, host, f"Origin: http://{name}:{viewer.port}", upgrade=upgrade) == welcome


@pytest.mark.parametrize(
    "headers",
    [
        ("Host: evil.example",),
        ("Host: evil.example:{port}",),
        ("Host: 127.0.0.1.evil.example:{port}",),
        ("Host: 192.168.1.7:{port}",),
        ("Host: localhost:{port}", "Origin: http://evil.example"),
        ("Host: localhost:{port}", "Origin: http://localhost:1"),
        ("Host: localhost:{port}", "Origin: https://localhost:{port}.evil.example"),
        ("Host: localhost:{port}", "Origin: null"),
        ("Host: localhost:{port}", "Origin: http://127.0.0.1:{port}"),
        ("Host: localhost:{port}", "Host: evil.example"),
        ("Host:",),
        (),
    ],
)
@pytest.mark.parametrize("upgrade", [False, True])
def test_strangers_are_refused(viewer, headers, upgrade):
    headers = [header.format(port=viewer.port) for header in headers]
    assert status(viewer.port, *headers, upgrade=upgrade) == 403


def test_an_honest_browser_gets_pictures(viewer):
    import numpy as np

    with ScriptedBrowser(viewer.url) as browser:
        browser.look(np.array([0.0, 0.0, -3.0]), np.zeros(3))
        assert browser.frame() is not None


def test_it_listens_on_this_machine_alone(viewer):
    listening = viewer.server.get_host()
    assert listening == "127.0.0.1"
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {"127.0.0.1"}
    for address in others:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address, viewer.port), timeout=2)


@pytest.mark.parametrize("host", ["10.1.2.3:8080", "localhost:8080", "[2001:db8::1]:8080"])
def test_bound_to_all_addresses_it_answers_to_bare_addresses(host):
    assert refusal(host, f"http://{host}", "0.0.0.0") is None


def test_bound_to_all_addresses_it_still_refuses_other_names_and_origins():
    assert refusal("evil.example:8080", None, "0.0.0.0") is not None
    assert refusal("10.1.2.3:8080", "http://evil.example", "0.0.0.0") is not None


def test_a_server_that_starts_without_the_guard_is_an_error():
    with pytest.raises(RuntimeError, match="no longer starts"), doors_closed_to_strangers("127.0.0.1"):
        pass


def test_there_is_no_way_out_through_the_share_tunnel(viewer):
    assert viewer.server.request_share_url() is None
    assert viewer.server._share_tunnel is None


def test_a_taken_port_gives_the_next_free_one():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port("127.0.0.1", port) > port


def test_an_address_that_is_not_ours_is_a_sentence():
    with pytest.raises(GsrError, match="not an address of this machine"):
        free_port("192.0.2.1", 8080)
    with pytest.raises(GsrError, match="no address"):
        free_port("no.such.host.invalid", 8080)


def test_starting_twice_at_once_gives_two_guarded_servers():
    made = []

    def start():
        session, _ = flat_session()
        made.append((View(session, port=0), session))

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    for viewer, session in made:
        assert status(viewer.port, "Host: evil.example") == 403
        viewer.stop()
        session.close()
    assert len(made) == 2
