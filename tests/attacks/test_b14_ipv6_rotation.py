"""B14: whoever has one IPv6 line has 2^64 addresses.

So IPv6 is counted by /64. An IPv4 address that a dual-stack socket writes as IPv6 is the same one.
"""

import random
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

import pytest

from limen.clients import ClientAddresses, bucket
from limen.limen import Limen
from limen.settings import Limit, Settings
from tests.people import calling_from, guess

LINE = IPv6Network("2001:db8:7:7::/64")
DIRECT = ClientAddresses()


def test_a_thousand_addresses_of_one_line_are_one_bucket() -> None:
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed: {seed}")
    chance = random.Random(seed)
    first = int(LINE.network_address)
    addresses = {str(IPv6Address(first + chance.getrandbits(64))) for _ in range(1000)}

    assert len(addresses) > 990
    assert {bucket(DIRECT.address(address, [])) for address in addresses} == {str(LINE)}


def test_the_next_line_is_another_bucket() -> None:
    assert bucket("2001:db8:7:8::1") != bucket("2001:db8:7:7::1")


def test_an_ipv4_address_is_the_same_in_every_spelling() -> None:
    spellings = [
        "203.0.113.7",
        "::ffff:203.0.113.7",
        "::FFFF:CB00:7107",
        "0:0:0:0:0:ffff:cb00:7107",
    ]

    assert {bucket(DIRECT.address(text, [])) for text in spellings} == {"203.0.113.7"}
    assert {bucket(text) for text in spellings} == {"203.0.113.7"}


def test_ipv4_neighbours_are_told_apart() -> None:
    """A /24 holds many households, and in IPv6 clothes all of IPv4 would be one /64."""
    assert len({bucket(f"::ffff:203.0.113.{host}") for host in range(256)}) == 256


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        signing_algorithm="ES256",
        login_address_limit=Limit(5, 900),
    )


async def guesses_from(limen: Limen, addresses: list[str]) -> list[int]:
    """Return the statuses of guesses at one account each."""
    statuses = []
    for number, address in enumerate(addresses):
        async with calling_from(limen, address) as client:
            statuses.append((await guess(client, f"user{number}@example.com")).status_code)
    return statuses


@pytest.mark.anyio
@pytest.mark.parametrize(
    "addresses",
    [
        [f"2001:db8:7:7:{number:x}::{number:x}" for number in range(1, 9)],
        ["203.0.113.7", "::ffff:203.0.113.7"] * 4,
        ["203.0.113.7", "::ffff:cb00:7107"] * 4,
    ],
    ids=["one /64", "mapped", "mapped, in hexadecimal"],
)
async def test_moving_within_ones_own_line_gives_no_more_attempts(
    limen: Limen, addresses: list[str]
) -> None:
    assert await guesses_from(limen, addresses) == [401] * 5 + [429] * 3


@pytest.mark.anyio
async def test_other_lines_are_not_limited_together(limen: Limen) -> None:
    lines = [f"2001:db8:7:{number:x}::1" for number in range(8)]

    assert await guesses_from(limen, lines) == [401] * 8
