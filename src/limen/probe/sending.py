"""Sending one request: exactly these headers, and only the status of the answer is of interest.

A client library would join two Authorization headers, follow redirects and keep cookies. Here the
headers go out as they are, each request has a connection of its own, so that one odd request does
not spoil the next, and nothing is followed: a redirect to a login page is an answer. Proxies of
the environment are not used. Whatever goes wrong is told by its kind alone, because messages may
repeat what was sent, and that holds tokens.
"""

import http.client
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

Headers = Sequence[tuple[str, str]]

_WITH_A_BODY = ("POST", "PUT", "PATCH")


@dataclass(frozen=True, slots=True)
class Answer:
    """The status, or None and the kind of failure; `retry_after` is in seconds."""

    status: int | None
    failure: str = ""
    retry_after: int | None = None

    def __str__(self) -> str:
        return str(self.status or self.failure)


@dataclass(frozen=True, slots=True)
class Target:
    """The address to be tried, and how it is asked.

    Raises:
        ValueError: The URL is none, or would carry the token over the network in the clear.
    """

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    timeout: float = 10

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise ValueError("This is no URL: write https://api.example.com/me.") from None
        if parts.scheme not in ("http", "https") or not host:
            raise ValueError("The URL must begin with https:// and a host.")
        if parts.fragment or "@" in parts.netloc:
            raise ValueError("The URL must have no credentials and no fragment.")
        if any(not "!" <= letter <= "~" for letter in self.url):
            raise ValueError("The URL must be printable ASCII: encode what is not, with %.")
        if parts.scheme == "http" and not _is_loopback(host):
            raise ValueError(
                "Plain http would show the token to the network: use https, or forward a local"
                " port and try http://localhost."
            )

    @property
    def shown(self) -> str:
        """The URL without its query, which may hold what nobody is to read."""
        return self.url.partition("?")[0]

    def send(self, headers: Headers, query: str = "") -> Answer:
        """Send one request with these headers besides its own, and return how it was answered."""
        connection = self._connection()
        try:
            self._put(connection, headers, query)
            response = connection.getresponse()
            return Answer(response.status, retry_after=_seconds(response.getheader("Retry-After")))
        except TimeoutError:
            return Answer(None, "no answer in time")
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Answer(None, type(error).__name__)
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        if parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(
                host, parts.port, timeout=self.timeout, context=context
            )
        return http.client.HTTPConnection(host, parts.port, timeout=self.timeout)

    def _put(self, connection: http.client.HTTPConnection, headers: Headers, query: str) -> None:
        parts = urlsplit(self.url)
        asked = "&".join(piece for piece in (parts.query, query) if piece)
        address = f"{parts.path or '/'}{'?' if asked else ''}{asked}"
        connection.putrequest(self.method, address, skip_accept_encoding=True)
        own = [("Accept", "*/*"), ("User-Agent", "limen-probe"), ("Connection", "close")]
        if self.method in _WITH_A_BODY:
            own.append(("Content-Length", "0"))
        for name, value in (*own, *self.headers, *headers):
            connection.putheader(name, value)
        connection.endheaders()


def _seconds(retry_after: str | None) -> int | None:
    """Return the seconds in Retry-After; None if it names a date, or nothing."""
    found = re.fullmatch("[0-9]{1,9}", retry_after or "")
    return int(found[0]) if found else None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
