"""B5, CVE-2024-47070 (authentik): an X-Forwarded-For that is no address skipped the password.

Here it means the nearest proxy, whatever stands there: an address is always found, no exception
is raised, and no limit is skipped.
"""

import time
from ipaddress import ip_network
from pathlib import Path

import httpx2
import pytest

from limen.clients import ClientAddresses, bucket
from limen.limen import Limen
from limen.settings import Settings
from tests.people import PASSWORD, attempt, calling_from, guess
from tests.stored import slots_taken

PROXY = "10.0.0.1"
BEHIND_PROXIES = ClientAddresses([ip_network("10.0.0.0/8")])

UNPARSABLE = [
    b"a",
    b"",
    b" ",
    b",",
    b",,,,",
    b"unknown",
    b"_hidden",
    b"\0",
    b"203.0.113.7\0",
    b"\xff\xfe",
    b"::%eth0",
    b"fe80::1%25eth0",
    b"[::1",
    b"::1]",
    b"[203.0.113.7]",
    b"[]:80",
    b"[2001:db8::7]4711",
    b"[2001:db8::7]:",
    b"2001:db8::7:4711:1:2:3:4:5",
    b"203.0.113.7:",
    b"203.0.113.7:http",
    b"203.0.113.7:123456",
    b"203.0.113",
    b"203.0.113.07",
    b"203.0.113.256",
    b"203.0.113.7/32",
    b"0xcb007107",
    b"3405803783",
    b"for=203.0.113.7",
    b'"203.0.113.7"',
    b"203.0.113.7;",
    b"203.0.113.7\n",
    b"203.0.113.7 10.0.0.2",
    "２03.0.113.7".encode(),
    b"9.9.9.9, ",
    b"9.9.9.9, a",
    b"9.9.9.9, a, 10.0.0.2",
    b"a" * 10_000,
    b"1," * 10_000,
    b":" * 10_000,
]


@pytest.mark.parametrize("value", UNPARSABLE, ids=lambda value: repr(value[:32]))
def test_what_is_no_address_counts_as_the_nearest_proxy(value: bytes) -> None:
    found = BEHIND_PROXIES.address(PROXY, [(b"x-forwarded-for", value)])

    assert found == bucket(found) == PROXY


def test_a_huge_list_costs_milliseconds() -> None:
    """64 KiB are as much as servers take; the best of five, for the machine may be busy."""
    headers = [(b"x-forwarded-for", b"10.0.0.2," * 7_000 + b"10.0.0.2")]
    took = []
    for _ in range(5):
        began = time.perf_counter()
        assert BEHIND_PROXIES.address(PROXY, headers) == PROXY
        took.append(time.perf_counter() - began)

    assert min(took) < 1


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        signing_algorithm="ES256",
        trusted_proxies=(ip_network("10.0.0.0/8"),),
    )


@pytest.mark.anyio
async def test_with_any_of_them_the_password_is_checked_and_limited(limen: Limen) -> None:
    """All of them together are one address, so its fifty attempts are used up."""
    await limen.features.accounts.create("ada@example.com", PASSWORD)
    wrong, right = [], []
    async with calling_from(limen, PROXY) as proxy:
        for number, value in enumerate(UNPARSABLE):
            proxy.headers = httpx2.Headers([(b"X-Forwarded-For", value)])
            proxy.cookies.clear()
            wrong.append((await guess(proxy, f"user{number}@example.com")).status_code)
            right.append((await attempt(proxy, "ada@example.com")).status_code)

    assert wrong == [401] * len(UNPARSABLE)
    assert right == [200] * len(UNPARSABLE)
    assert (await slots_taken(limen))["login-address"] == len(UNPARSABLE)
