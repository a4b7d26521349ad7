"""Only the server's own pages, under its own name, get in: over HTTP and over WebSocket."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import viser
from flat import flat_session, served

from gaussian_lens_app.errors import GsrError
from gaussian_lens_app.viewer import View
from gaussian_lens_app.viewer.doors import cookie_of, doors_closed_to_strangers, refusal
from gaussian_lens_app.viewer.downloads import safe_name
from gaussian_lens_app.viewer.scripted import ScriptedBrowser
from gaussian_lens_app.viewer.server import free_port


@pytest.fixture(scope="module")
def viewer():
    with served() as viewer:
        yield viewer


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


@pytest.fixture(scope="module")
def open_viewer():
    """Reachable from other machines too, so it asks for its token."""
    session, _ = flat_session()
    viewer = View(session, host="0.0.0.0", port=0)
    yield viewer
    viewer.stop()
    session.close()


def reply(port: int, path: str, *headers: str) -> str:
    """Status line and headers of the answer to a GET, as they came."""
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: close", *headers]
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        received = b""
        while b"\r\n\r\n" not in received and (more := connection.recv(4096)):
            received += more
    return received.split(b"\r\n\r\n")[0].decode("latin-1")


@pytest.mark.parametrize("upgrade", [False, True])
def test_beyond_loopback_nobody_gets_in_without_the_token(open_viewer, upgrade):
    host = f"Host: 127.0.0.1:{open_viewer.port}"
    assert status(open_viewer.port, host, upgrade=upgrade) == 403
    assert status(open_viewer.port, host, "Cookie: gaussian_lens=1; other=2", upgrade=upgrade) == 403
    name = cookie_of(open_viewer.server.token)[0]
    assert status(open_viewer.port, host, f"Cookie: {name}=guess", upgrade=upgrade) == 403


def test_the_token_of_the_address_becomes_a_cookie_and_leaves_the_address(open_viewer):
    port, token = open_viewer.port, open_viewer.server.token
    assert open_viewer.url.endswith(f"/?token={token}")
    answer = reply(port, f"/?token={token}&fixedDpr=1")
    assert answer.startswith("HTTP/1.1 303")
    assert "Location: /?fixedDpr=1" in answer
    assert token not in answer.split("Location: ")[1].split("\r\n")[0]
    cookie = answer.split("Set-Cookie: ")[1].split("\r\n")[0]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert reply(port, "/", f"Cookie: {cookie.split(';')[0]}").startswith("HTTP/1.1 200")
    host = f"Host: 127.0.0.1:{port}"
    assert status(port, host, f"Cookie: a=b; {cookie.split(';')[0]}", upgrade=True) == 101


@pytest.mark.parametrize("path", ["/?token=guess", "/?token=", "/?token=x&token=y", "/?Token={token}"])
def test_a_wrong_token_opens_nothing(open_viewer, path):
    answer = reply(open_viewer.port, path.format(token=open_viewer.server.token))
    assert answer.startswith("HTTP/1.1 403")
    assert "Set-Cookie" not in answer


def test_the_token_does_not_help_a_foreign_page(open_viewer):
    port, token = open_viewer.port, open_viewer.server.token
    cookie = "=".join(cookie_of(token))
    assert (
        status(port, f"Host: 127.0.0.1:{port}", "Origin: http://evil.example", f"Cookie: {cookie}", upgrade=True) == 403
    )
    assert status(port, "Host: evil.example", f"Cookie: {cookie}", upgrade=True) == 403


def test_an_honest_browser_with_the_token_gets_pictures(open_viewer):
    with ScriptedBrowser(open_viewer.url) as browser:
        browser.look(np.array([0.0, 0.0, -3.0]), np.zeros(3))
        assert browser.frame() is not None


def test_loopback_asks_for_no_token(viewer):
    assert viewer.server.token is None
    assert "token" not in viewer.url


def test_through_ssh_the_port_is_another_one_and_it_still_gets_in(viewer):
    """ssh -L 9999:localhost:PORT: the browser's Host and Origin name the near end."""
    for upgrade, welcome in ((False, 200), (True, 101)):
        assert status(viewer.port, "Host: localhost:9999", "Origin: http://localhost:9999", upgrade=upgrade) == welcome


def forwarded(to: int) -> Iterator[int]:
    """A port that hands every byte on to another port and back, as the near end of `ssh -L` does."""
    near = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                here, there = near.accept()[0], socket.create_connection(("127.0.0.1", to))
                for pair in ((here, there), (there, here)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield near.getsockname()[1]
    near.close()


def test_an_honest_browser_gets_pictures_through_a_forwarded_port(viewer):
    with contextlib.closing(forwarded(viewer.port)) as ports:
        port = next(ports)
        assert port != viewer.port
        with ScriptedBrowser(f"http://localhost:{port}") as browser:
            browser.look(np.array([0.0, 0.0, -3.0]), np.zeros(3))
            assert browser.frame() is not None
        assert status(port, f"Host: localhost:{port}", f"Origin: http://localhost:{viewer.port}", upgrade=True) == 403


def test_on_the_loopback_of_ipv6_an_honest_browser_gets_pictures():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"There is no IPv6 here: {error}.")
    session, _ = flat_session()
    viewer = View(session, host="::1", port=0)
    try:
        assert viewer.url == f"http://[::1]:{viewer.port}"  # no token: nobody else can come
        with ScriptedBrowser(viewer.url) as browser:
            browser.look(np.array([0.0, 0.0, -3.0]), np.zeros(3))
            assert browser.frame() is not None
    finally:
        viewer.stop()
        session.close()


@pytest.mark.parametrize(
    "path", ["/../../../../etc/passwd", "/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/..%2f..%2fetc%2fpasswd"]
)
def test_a_path_from_a_browser_reaches_no_file(viewer, path):
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{viewer.port}", "Connection: close"]
    with socket.create_connection(("127.0.0.1", viewer.port), timeout=5) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        received = b""
        while more := connection.recv(65536):
            received += more
    assert b"root:" not in received


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("sharp.ply", "sharp.ply"),
        ("../../sharp.ply", "sharp.ply"),
        ("C:\\temp\\sharp.ply", "sharp.ply"),
        ("/etc/passwd", "passwd.ply"),
        ("..", "scene_edited.ply"),
        ("", "scene_edited.ply"),
        (".hidden.ply", "hidden.ply"),
        ("a\nb\0c.ply", "a_b_c.ply"),
        ("points.glb", "points.glb"),
        ("Bücher (2).ply", "Bücher (2).ply"),
        ("x" * 300, "x" * 120 + ".ply"),
    ],
)
def test_a_name_from_a_browser_is_only_a_name(typed, name):
    assert safe_name(typed, "scene_edited.ply") == name


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
