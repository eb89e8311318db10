"""Who is calling, as a limit counts it."""

from ipaddress import ip_network

import pytest

from limen.clients import UNKNOWN, ClientAddresses, bucket, device_name

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


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        (None, None),
        ("", None),
        (
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
                "Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0"
            ),
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
            "Firefox on Linux",
        ),
        (
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 "
                "(KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
            ),
            "Safari on iPhone",
        ),
        (
            (
                "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) "
                "Chrome/141.0.0.0 Mobile Safari/537.36"
            ),
            "Chrome on Android",
        ),
        ("curl/8.14.1", "curl"),
        ("python-httpx2/2.16.2", "python-httpx2"),
        ("\x1b[31m<script>", "an unknown program"),
        ("x" * 10_000, "x" * 31),
    ],
)
def test_a_device_is_called_what_a_person_calls_it(agent: str | None, device: str | None) -> None:
    assert device_name(agent) == device


def test_no_name_of_a_device_is_longer_than_its_column() -> None:
    longest = device_name("x" * 40 + " Mac OS X")

    assert longest is not None
    assert len(longest) <= 64
