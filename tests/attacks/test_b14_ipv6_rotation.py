"""B14: whoever has one IPv6 line has 2^64 addresses.

So IPv6 is counted by /64. An IPv4 address that a dual-stack socket writes as IPv6 is the same one.
"""

import random
from ipaddress import IPv6Address, IPv6Network

from limen.clients import ClientAddresses, bucket

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
