"""B6, Better Auth PR #9990: where the caller's address was unknown, there was no limit.

A Unix socket has no addresses, and a broken server may give none. All such callers share one
bucket; and as none of them is a trusted proxy, their headers change nothing.
"""

from ipaddress import ip_network

import pytest

from limen.clients import UNKNOWN, ClientAddresses, bucket

TRUSTING = ClientAddresses([ip_network("10.0.0.0/8"), ip_network("127.0.0.0/8")])

PEERS = [
    None,
    "",
    "/run/limen.sock",
    "testclient",
    "unknown",
    "localhost",
    "10.0.0.1:80",
    "%",
    "\0",
]


@pytest.mark.parametrize("peer", PEERS, ids=repr)
@pytest.mark.parametrize("forwarded", [b"9.9.9.9", b"10.0.0.2", b"", b"a"], ids=repr)
def test_callers_without_an_address_share_one_bucket(peer: str | None, forwarded: bytes) -> None:
    found = TRUSTING.address(peer, [(b"x-forwarded-for", forwarded)])

    assert found == UNKNOWN
    assert bucket(found) == UNKNOWN
