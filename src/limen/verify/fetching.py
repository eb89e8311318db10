"""Fetching a small document from the issuer, and from nobody else.

https with a certificate that the system trusts, or plain http on this very machine. Redirects are
not followed and proxies of the environment not used: the address that was configured is the one
that is asked. An answer has a size and a time that it may take.
"""

import http.client
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
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


def fetch(
    url: str, *, seconds: float, max_bytes: int, headers: Mapping[str, str] | None = None
) -> Answer:
    """Return what GET answers with 200 and no more than `max_bytes`, within about `seconds`.

    Raises:
        Unreachable: There is no such answer.
    """
    parts = urlsplit(url)
    path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    connection = _connection(parts.scheme, parts.hostname or "", parts.port, seconds)
    try:
        connection.request("GET", path, headers={"Accept": "application/json", **(headers or {})})
        return _answer(connection, time.monotonic() + seconds, max_bytes)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unreachable(type(error).__name__) from error
    finally:
        connection.close()


def _connection(
    scheme: str, host: str, port: int | None, seconds: float
) -> http.client.HTTPConnection:
    if scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=seconds, context=context)
    return http.client.HTTPConnection(host, port, timeout=seconds)


def _answer(connection: http.client.HTTPConnection, until: float, max_bytes: int) -> Answer:
    response = connection.getresponse()
    if response.status != http.client.OK:
        raise Unreachable(f"status {response.status}")
    body = bytearray()
    while chunk := response.read1(_CHUNK):
        body += chunk
        if len(body) > max_bytes:
            raise Unreachable(f"an answer of more than {max_bytes} bytes")
        if time.monotonic() > until:
            raise Unreachable("an answer that takes too long")
    if response.length:
        raise Unreachable("an answer that was cut off")
    return Answer({name.lower(): value for name, value in response.headers.items()}, bytes(body))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
