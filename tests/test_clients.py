"""Who is calling, as a limit counts it."""

from ipaddress import ip_network

import pytest

from limen.clients import UNKNOWN, ClientAddresses, bucket

PROXIES = ClientAddresses([ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48")])
NEAREST = "10.0.0.1"


def forwarded(*lines: str) -> list[tuple[bytes, bytes]]:
    return [(b"x-forwarded-for", line.encode("latin-1")) for line in lines]


@pytest.mark.parametrize(
    ("peer", "lines", "client"),
    [
        ("203.0.113.7", [], "203.0.113.7"),
        ("203.0.113.7", ["9.9.9.9"], "203.0.113.7"),
        (NEAREST, ["203.0.113.7"], "203.0.113.7"),
        (NEAREST, ["203.0.113.7, 10.0.0.2"], "203.0.113.7"),
        (NEAREST, ["9.9.9.9, 203.0.113.7, 10.0.0.2"], "203.0.113.7"),
        (NEAREST, ["9.9.9.9", "203.0.113.7", "10.0.0.2"], "203.0.113.7"),
        (NEAREST, ["9.9.9.9,\t203.0.113.7 ,10.0.0.2"], "203.0.113.7"),
        ("2001:db8:1::1", ["2001:DB8:0:0::7"], "2001:db8::7"),
        ("::ffff:10.0.0.1", ["::ffff:203.0.113.7"], "203.0.113.7"),
        (NEAREST, ["203.0.113.7:4711"], "203.0.113.7"),
        (NEAREST, ["[2001:db8::7]"], "2001:db8::7"),
        (NEAREST, ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("fe80::1%eth0", [], "fe80::1"),
    ],
)
def test_the_client_is_the_first_address_from_the_right_that_is_no_trusted_proxy(
    peer: str, lines: list[str], client: str
) -> None:
    assert PROXIES.address(peer, forwarded(*lines)) == client


@pytest.mark.parametrize("lines", [[], ["10.0.0.9"], ["10.0.0.8, 10.0.0.9"]], ids=str)
def test_a_list_of_nothing_but_proxies_leaves_the_nearest_one(lines: list[str]) -> None:
    assert PROXIES.address(NEAREST, forwarded(*lines)) == NEAREST


def test_nobody_is_trusted_unless_it_is_said() -> None:
    assert ClientAddresses().address("127.0.0.1", forwarded("203.0.113.7")) == "127.0.0.1"


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::FFFF:cb00:7107", "203.0.113.7"),
        ("2001:db8::7", "2001:db8::/64"),
        ("2001:DB8:0:0:ffff:ffff:ffff:ffff", "2001:db8::/64"),
        ("2001:db8:0:1::7", "2001:db8:0:1::/64"),
        (UNKNOWN, UNKNOWN),
        ("", UNKNOWN),
        ("testclient", UNKNOWN),
    ],
)
def test_every_address_has_a_bucket(address: str, counted: str) -> None:
    assert bucket(address) == counted


def test_the_name_of_the_header_may_be_written_in_any_case() -> None:
    headers = [(b"X-Forwarded-For", b"203.0.113.7"), (b"x-forwarded-for", b"10.0.0.2")]

    assert PROXIES.address(NEAREST, headers) == "203.0.113.7"
