"""Fetching a small document from the issuer, and from nobody else.

https with a certificate that the system trusts, or plain http on this very machine. Redirects are
not followed and proxies of the environment not used: the address that was configured is the one
that is asked. An answer has a size and a time that it may take, all of it: a server that sends one
byte a second, be it of a header, is given up as well.
"""

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

_CHUNK = 16 * 1024


class Unreachable(Exception):
    """The issuer gave no answer that can be used; the message says why, and holds no secret."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A 200: its headers, by lower-case name, and its body."""

    headers: Mapping[str, str]
    body: bytes


def require_safe(url: str) -> str:
    """Return the URL of an issuer, if what it says can be believed.

    Raises:
        ValueError: It is no http(s) URL, or plain http to another machine, or holds credentials,
            a query or a fragment.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("The issuer is not a URL: write https://login.example.com.") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("The issuer must be a URL: write https://login.example.com.")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("The issuer's URL must have no credentials, query or fragment.")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ValueError("The issuer must be reached by https: plain http is for localhost alone.")
    return url


def fetch(url: str, *, seconds: float, max_bytes: int) -> Answer:
    """Return what GET answers with 200 and no more than `max_bytes`, within about `seconds`.

    No cache on the way is to answer: keys and revocations are asked for to know what is so now.

    Raises:
        Unreachable: There is no such answer.
    """
    until = time.monotonic() + seconds
    parts = urlsplit(url)
    path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    headers = {"Accept": "application/json", "Cache-Control": "no-cache", "Connection": "close"}
    try:
        connection = _connection(parts.scheme, parts.hostname or "", parts.port, seconds)
        try:
            connection.request("GET", path, headers=headers)
            with connection.sock as connected:
                connection.sock = _Hurried(connected, until)
                return _answer(connection.getresponse(), max_bytes)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unreachable(type(error).__name__) from error


def _connection(
    scheme: str, host: str, port: int | None, seconds: float
) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=seconds, context=_trusted())
    return http.client.HTTPConnection(host, port, timeout=seconds)


@cache
def _trusted() -> ssl.SSLContext:
    return ssl.create_default_context()


def _answer(response: http.client.HTTPResponse, max_bytes: int) -> Answer:
    if response.status != http.client.OK:
        raise Unreachable(f"status {response.status}")
    body = bytearray()
    while chunk := response.read1(_CHUNK):
        body += chunk
        if len(body) > max_bytes:
            raise Unreachable(f"an answer of more than {max_bytes} bytes")
    if response.length:
        raise Unreachable("an answer that was cut off")
    return Answer({name.lower(): value for name, value in response.headers.items()}, bytes(body))


class _Hurried(io.RawIOBase):
    """A connected socket, to be read until a moment: http.client has a timeout for each read."""

    def __init__(self, connected: socket.socket, until: float) -> None:
        self._socket = connected
        self._until = until

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        return self._socket.recv_into(buffer)

    def close(self) -> None:
        """Stay open: http.client closes a connection before it has read the last answer."""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
