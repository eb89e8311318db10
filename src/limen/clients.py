"""Who is calling: the address that limits are counted by, and the kind of device.

The peer of the connection is a fact; `X-Forwarded-For` is a claim. Each proxy appends the address
that it was called from, so only the right end of the list was written by somebody we know:

    X-Forwarded-For: 9.9.9.9, 203.0.113.7, 10.0.0.2        from peer 10.0.0.1, trusted: 10.0.0.0/8
                     invented    the client   a trusted proxy

The list is walked from the right, past the trusted proxies, to the first address that is not one:
the client. If the walk meets something else than an address, or runs out of the list, then the
answer is the peer, whatever else the list holds: a caller inside a trusted network could have
written all of it. A peer that is not a trusted proxy is the client itself, and its headers are
not looked at. No header can make the address missing, so none makes a limit skipped; where there
is no peer address, as on a Unix socket, all callers together are "unknown".

Only `X-Forwarded-For` is read. Reading `Forwarded` (RFC 7239) or `X-Real-IP` as well would let
callers choose the one that their proxy does not overwrite.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UNKNOWN = "unknown"

# One subscriber of IPv6 is given a /64 at least, and may use all its addresses at will.
_IPV6_PREFIX = 64

# The first mark that is found decides: most browsers claim to be their predecessors, too.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)

# 203.0.113.7   203.0.113.7:4711   2001:db8::7   [2001:db8::7]   [2001:db8::7]:4711
_FORWARDED = re.compile(
    r"(?:(?P<v4>[0-9.]{7,15})|\[(?P<v6>[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{1,40})\])(?::[0-9]{1,5})?"
    r"|(?P<bare>[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{1,40})"
)


@dataclass(frozen=True, slots=True)
class Client:
    """Who is calling: the address that was found for it, and the device token it sent."""

    address: str
    device: str | None = field(default=None, repr=False)


class ClientAddresses:
    """Finds the client's address behind the proxies whose word is taken."""

    def __init__(self, trusted: Sequence[Network] = ()) -> None:
        self._trusted = tuple(trusted)

    def address(self, peer: str | None, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Return the client's address in its shortest form, or "unknown".

        `peer` is the host of the ASGI scope's `client`; `headers` are the raw ASGI headers.
        """
        nearest = _parsed((peer or "").partition("%")[0])  # a link-local peer bears its zone
        if nearest is None:
            return UNKNOWN
        if not self._is_trusted(nearest):
            return str(nearest)
        return str(self._first_untrusted(headers) or nearest)

    def _first_untrusted(self, headers: Iterable[tuple[bytes, bytes]]) -> Address | None:
        lines = [value for name, value in headers if name.lower() == b"x-forwarded-for"]
        for element in reversed(b",".join(lines).split(b",")):
            found = _FORWARDED.fullmatch(element.decode("latin-1").strip(" \t"))
            address = _parsed(found["v4"] or found["v6"] or found["bare"]) if found else None
            if address is None or not self._is_trusted(address):
                return address
        return None

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def bucket(address: str) -> str:
    """Return what an address is counted under: itself in IPv4, its /64 in IPv6.

    An IPv4 address in IPv6 clothes (::ffff:203.0.113.7) is the IPv4 address, and whatever is no
    address is "unknown".
    """
    found = _parsed(address)
    if found is None:
        return UNKNOWN
    if isinstance(found, IPv4Address):
        return str(found)
    return str(ip_network((found, _IPV6_PREFIX), strict=False))


def device_name(agent: str | None) -> str | None:
    """Return what a person calls the device that sends this User-Agent: "Firefox on Windows".

    It is what the device says of itself, and serves to recognise one's own, not to trust it.
    """
    if not agent:
        return None
    browser = next((name for mark, name in _BROWSERS if mark in agent), None)
    system = next((name for mark, name in _SYSTEMS if mark in agent), None)
    program = re.match(r"[A-Za-z][A-Za-z0-9._-]{0,30}", agent)
    what = browser or (program[0] if program else "an unknown program")
    return f"{what} on {system}" if system else what


def _parsed(text: str) -> Address | None:
    """Return the address; an IPv4 one whichever way it is written, and None for anything else."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or address
    return address
