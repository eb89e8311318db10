"""B4: trusting X-Forwarded-For lets an attacker have a new address for every guess.

django-allauth 65.14.2, Better Auth PR #10203, fastapi-limiter #9, CVE-2025-51663 and
CVE-2023-36456 (authentik) took the leftmost value, or took it from anybody.
"""

import random
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path

import httpx2
import pytest

from limen.clients import ClientAddresses, bucket
from limen.limen import Limen
from limen.settings import Limit, Settings
from tests.people import calling_from, guess
from tests.stored import slots_taken

ATTACKER = "203.0.113.7"
PROXY, INNER_PROXY = "10.0.0.1", "10.0.0.2"
BEHIND_PROXIES = ClientAddresses([ip_network("10.0.0.0/8")])

HEADERS = [
    b"x-forwarded-for",
    b"X-Forwarded-For",
    b"forwarded",
    b"x-real-ip",
    b"x-client-ip",
    b"true-client-ip",
    b"cf-connecting-ip",
    b"x-cluster-client-ip",
    b"fastly-client-ip",
    b"x_forwarded_for",
]


def invented(chance: random.Random) -> str:
    address = (
        IPv4Address(chance.getrandbits(32))
        if chance.random() < 0.5
        else IPv6Address(chance.getrandbits(128))
    )
    return chance.choice(["{}", "{}", "for={}", '"{}"', "10.0.0.9, {}", "{}, 10.0.0.9"]).format(
        address
    )


@pytest.fixture
def chance() -> random.Random:
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed: {seed}")
    return random.Random(seed)


@pytest.mark.parametrize("trusting", [ClientAddresses(), BEHIND_PROXIES], ids=["none", "proxies"])
def test_who_calls_directly_is_counted_by_the_connection(
    trusting: ClientAddresses, chance: random.Random
) -> None:
    for _ in range(1000):
        headers = [(name, invented(chance).encode()) for name in chance.choices(HEADERS, k=3)]

        assert trusting.address(ATTACKER, headers) == ATTACKER


def test_who_calls_through_proxies_is_counted_by_what_they_saw(chance: random.Random) -> None:
    """Each proxy appends whom it saw, either to the last line or as a line of its own."""
    for _ in range(1000):
        lines = [invented(chance).encode() for _ in range(chance.randrange(3))]
        for seen in (ATTACKER, INNER_PROXY):
            if lines and chance.random() < 0.5:
                lines[-1] += b", " + seen.encode()
            else:
                lines.append(seen.encode())
        headers = [(name, invented(chance).encode()) for name in HEADERS[2:]]
        headers += [(b"x-forwarded-for", line) for line in lines]

        assert BEHIND_PROXIES.address(PROXY, headers) == ATTACKER


def test_who_calls_from_inside_the_trusted_network_cannot_choose_either(
    chance: random.Random,
) -> None:
    """Such a caller looks like a proxy, so the whole list may be its own."""
    for _ in range(1000):
        inside = [f"10.{chance.randrange(256)}.0.{chance.randrange(256)}" for _ in range(3)]
        line = ", ".join([*chance.choice([[], ["a"], [""]]), *inside, "10.0.0.77"])
        found = BEHIND_PROXIES.address(PROXY, [(b"x-forwarded-for", line.encode())])

        assert bucket(found) == PROXY


@pytest.fixture
def proxies() -> list[str]:
    return []


@pytest.fixture
def settings(tmp_path: Path, database_url: str, proxies: list[str]) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        signing_algorithm="ES256",
        trusted_proxies=tuple(ip_network(proxy) for proxy in proxies),
        login_address_limit=Limit(5, 900),
    )


async def guess_with(
    client: httpx2.AsyncClient, number: int, headers: list[tuple[bytes, bytes]]
) -> int:
    """Guess at an account that nobody has guessed at: only the address can be refused."""
    client.headers = httpx2.Headers(headers)
    return (await guess(client, f"user{number}@example.com")).status_code


@pytest.mark.anyio
@pytest.mark.parametrize("proxies", [[], ["10.0.0.0/8"]], ids=["none", "proxies"])
async def test_no_header_gives_a_direct_caller_more_attempts(
    limen: Limen, chance: random.Random
) -> None:
    async with calling_from(limen, ATTACKER) as attacker:
        statuses = [
            await guess_with(
                attacker,
                number,
                [(name, invented(chance).encode()) for name in HEADERS for _ in range(2)],
            )
            for number in range(8)
        ]

    assert statuses == [401] * 5 + [429] * 3
    assert (await slots_taken(limen))["login-address"] == 5


@pytest.mark.anyio
@pytest.mark.parametrize("proxies", [["127.0.0.0/8", "10.0.0.0/8"]], ids=["proxies"])
async def test_behind_proxies_what_they_saw_is_limited_and_what_was_invented_is_not(
    wire: httpx2.AsyncClient, chance: random.Random
) -> None:
    """The server's peer is 127.0.0.1, the outermost of two proxies saw the attacker."""

    async def behind_proxies(number: int, seen: str) -> int:
        line = f"{invented(chance)}, {seen}, {INNER_PROXY}"
        return await guess_with(wire, number, [(b"X-Forwarded-For", line.encode())])

    attacker = [await behind_proxies(number, ATTACKER) for number in range(8)]
    neighbour = [await behind_proxies(number, "203.0.113.8") for number in range(8, 16)]

    assert attacker == neighbour == [401] * 5 + [429] * 3
