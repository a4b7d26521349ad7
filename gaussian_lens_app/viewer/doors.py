"""Who may talk to the server: pages it served itself, under a name that is its own.

A page of any website can open a WebSocket to a port of this machine (browsers do not stop it), and with a domain it
points at 127.0.0.1 (DNS rebinding) it can read our answers too. The first is told by its Origin header, the second by
its Host header; both are checked before anything else, for HTTP and WebSocket alike.

Where we listen beyond this machine, whoever comes must also bring the token of the address we printed. It becomes a
cookie at the first visit, so that it stays in no address bar; `ssh -L` to loopback needs none.
"""

from __future__ import annotations

import hashlib
import hmac
import http
import ipaddress
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import websockets.asyncio.server
from websockets.datastructures import Headers, MultipleValuesError
from websockets.http11 import Request, Response

LONGEST_MESSAGE = 1 << 20
"""Bytes that a browser may say at once: cameras, boxes, buttons and short texts."""
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")

_swapping = threading.Lock()


def refusal(host: str | None, origin: str | None, bound_to: str) -> str | None:
    """Why a request with these headers is refused, None when it may pass. `bound_to` is the address we listen on."""
    name = None if host is None else _hostname(host)
    if name is None:
        return "This request names no host."
    if not _is_ours(name, bound_to):
        return f"This server does not answer to the name {name}."
    if origin is not None and urlsplit(origin).netloc.lower() != str(host).lower():
        return f"Pages of {origin} may not use this server."
    return None


def _hostname(host: str) -> str | None:
    """The name in a Host header, without port and brackets."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _is_ours(name: str, bound_to: str) -> bool:
    """Loopback names always; where we listen beyond loopback, also our own names and bare addresses.

    A bare address cannot be rebound, so it is safe whichever of the machine's it is.
    """
    if name in LOOPBACK_NAMES:
        return True
    if bound_to in LOOPBACK_NAMES:
        return False
    return name in (bound_to.lower(), socket.gethostname().lower()) or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def new_token(bound_to: str) -> str | None:
    """A secret for the address, where strangers can reach us; None on loopback."""
    return None if bound_to in LOOPBACK_NAMES else secrets.token_urlsafe(16)


def cookie_of(token: str) -> tuple[str, str]:
    """(name, value) of the cookie; the name is the server's own, because cookies do not tell ports apart."""
    return f"gaussian_lens_{hashlib.sha256(token.encode()).hexdigest()[:8]}", token


def guarded(
    process_request: Callable | None, bound_to: str, token: str | None = None
) -> Callable[[Any, Request], Response | None]:
    """`process_request` for websockets' server that answers 403 to strangers and passes the rest on."""

    def check(connection: Any, request: Request) -> Response | None:
        why = _why(request.headers, bound_to)
        if why is not None:
            return _answer(http.HTTPStatus.FORBIDDEN, f"{why}\n")
        if token is not None and not _has_cookie(request.headers, token):
            return _at_the_door(request, token)
        return None if process_request is None else process_request(connection, request)

    return check


def _at_the_door(request: Request, token: str) -> Response:
    """The cookie for whoever brings the token, and the way to the page without it; else a refusal."""
    parts = urlsplit(request.path)
    query = parse_qsl(parts.query, keep_blank_values=True)
    brought = [value for key, value in query if key == "token"]
    is_page = request.headers.get("Upgrade") is None
    if not is_page or len(brought) != 1 or not hmac.compare_digest(brought[0].encode(), token.encode()):
        sentence = "Open the address that gsr-view printed, with its token.\n"
        return _answer(http.HTTPStatus.FORBIDDEN, sentence)
    left = urlencode([(key, value) for key, value in query if key != "token"])
    name, value = cookie_of(token)
    return _answer(
        http.HTTPStatus.SEE_OTHER,
        "",
        {"Location": "/" + (f"?{left}" if left else ""), "Set-Cookie": f"{name}={value}; {COOKIE_RULES}"},
    )


COOKIE_RULES = "Path=/; HttpOnly; SameSite=Strict"


def _has_cookie(headers: Headers, token: str) -> bool:
    name, value = cookie_of(token)
    for line in headers.get_all("Cookie"):
        try:
            found = SimpleCookie(line).get(name)
        except CookieError:
            continue
        if found is not None and hmac.compare_digest(found.value.encode(), value.encode()):
            return True
    return False


def _answer(status: http.HTTPStatus, body: str, more: dict[str, str] | None = None) -> Response:
    data = body.encode()
    headers = Headers(
        {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(data)), "Connection": "close"}
    )
    for name, value in (more or {}).items():
        headers[name] = value
    return Response(status, status.phrase, headers, data)


def _why(headers: Headers, bound_to: str) -> str | None:
    try:
        return refusal(headers.get("Host"), headers.get("Origin"), bound_to)
    except MultipleValuesError:
        return "This request names more than one host or origin."


@contextmanager
def doors_closed_to_strangers(bound_to: str, token: str | None = None) -> Iterator[None]:
    """While this lasts, a viser server that starts gets the guard.

    viser 1.1 offers no way to pass a `process_request`; it looks `serve` up in websockets when it starts, so for that
    moment it finds ours. Ends in an error when viser started without asking: rather no server than an open one.
    """
    original = websockets.asyncio.server.serve
    guards = 0

    def serve(*args: Any, process_request: Callable | None = None, **kwargs: Any):
        nonlocal guards
        guards += 1
        kwargs["max_size"] = LONGEST_MESSAGE
        return original(*args, process_request=guarded(process_request, bound_to, token), **kwargs)

    with _swapping:
        websockets.asyncio.server.serve = serve  # pyright: ignore[reportAttributeAccessIssue]
        try:
            yield
        finally:
            websockets.asyncio.server.serve = original  # pyright: ignore[reportAttributeAccessIssue]
    if guards == 0:
        raise RuntimeError("viser no longer starts its server through websockets.asyncio.server.serve.")
