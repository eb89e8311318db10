"""B4: trusting X-Forwarded-For lets an attacker have a new address for every guess.

django-allauth 65.14.2, Better Auth PR #10203, fastapi-limiter #9, CVE-2025-51663 and
CVE-2023-36456 (authentik) took the leftmost value, or took it from anybody.
"""

import random
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest

from limen.clients import ClientAddresses, bucket

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
