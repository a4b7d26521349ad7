"""A viser server that only its own pages may use, on a port that was really free."""

from __future__ import annotations

import contextlib
import io
import socket

import viser
from viser import _messages

from gaussian_lens_app.errors import GsrError
from gaussian_lens_app.viewer.doors import doors_closed_to_strangers, new_token

PORTS_TRIED = 20


class Server(viser.ViserServer):
    """viser without the share tunnel."""

    token: str | None = None
    """What a visitor must bring; None where only this machine can come."""

    def request_share_url(self, verbose: bool = True) -> None:
        """None: the scene does not leave this machine through somebody else's server."""


def start_server(host: str, port: int) -> Server:
    """A server on the first free port from `port` on (0: any). GsrError when there is none or no such address."""
    port = free_port(host, port)
    token = new_token(host)
    # viser prints a table of URLs; ours is the one line that says where to look.
    with doors_closed_to_strangers(host, token), contextlib.redirect_stdout(io.StringIO()):
        server = Server(host=host, port=port, label="Gaussian lens", verbose=False)
    server.token = token
    _refuse_uploads(server)
    server.on_client_connect(_refuse_uploads)
    return server


def _refuse_uploads(to: viser.ViserServer | viser.ClientHandle) -> None:
    """Nothing here takes files, but viser keeps the parts of any that a browser sends to any control, without end."""
    to.gui._websock_interface.unregister_handler(_messages.FileTransferStartUpload)


def stop_server(server: Server) -> None:
    """Ends the server and frees its port."""
    with contextlib.redirect_stdout(io.StringIO()):
        server.stop()


def free_port(host: str, port: int) -> int:
    """The first port from `port` on that can be listened on; 0 stays 0."""
    if port == 0:
        _try(host, 0)
        return 0
    for candidate in range(port, min(port + PORTS_TRIED, 65536)):
        if _try(host, candidate):
            return candidate
    raise GsrError(f"Ports {port} to {port + PORTS_TRIED - 1} are all taken: choose another with --port.")


def _try(host: str, port: int) -> bool:
    """Whether the port is free; GsrError when the address is not this machine's."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise GsrError(
            f"There is no address {host!r} to listen on ({error.strerror}): use --host 127.0.0.1."
        ) from error
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except PermissionError as error:
            raise GsrError(
                f"Port {port} needs more rights than you have: choose one above 1023 with --port."
            ) from error
        except OSError as error:
            import errno

            if error.errno == errno.EADDRINUSE:
                return False
            raise GsrError(f"{host!r} is not an address of this machine: use --host 127.0.0.1.") from error
    return True


def url_of(server: Server) -> str:
    """What to type into a browser on this machine."""
    host = server.get_host()
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    address = f"http://{f'[{host}]' if ':' in host else host}:{server.get_port()}"
    return address if server.token is None else f"{address}/?token={server.token}"
