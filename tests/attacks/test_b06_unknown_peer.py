"""B6, Better Auth PR #9990: where the caller's address was unknown, there was no limit.

A Unix socket has no addresses, and a broken server may give none. All such callers share one
bucket; and as none of them is a trusted proxy, their headers change nothing.
"""

from ipaddress import ip_network
from pathlib import Path

import httpx2
import pytest

from limen import app as standalone
from limen.clients import UNKNOWN, ClientAddresses, bucket
from limen.limen import Limen
from limen.settings import Limit, Settings
from tests.people import guess
from tests.serving import listening
from tests.stored import slots_taken

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


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        signing_algorithm="ES256",
        login_address_limit=Limit(5, 900),
    )


@pytest.mark.anyio
async def test_on_a_unix_socket_everybody_together_is_limited(limen: Limen, tmp_path: Path) -> None:
    path = tmp_path / "limen.sock"
    statuses = []
    async with listening(standalone.build(limen), path) as url:
        for number in range(8):
            transport = httpx2.AsyncHTTPTransport(uds=str(path))
            async with httpx2.AsyncClient(transport=transport, base_url=url) as client:
                invented = {"X-Forwarded-For": f"9.9.9.{number}"}
                response = await guess(client, f"user{number}@example.com", **invented)
                statuses.append(response.status_code)

    assert statuses == [401] * 5 + [429] * 3
    assert (await slots_taken(limen))["login-address"] == 5
