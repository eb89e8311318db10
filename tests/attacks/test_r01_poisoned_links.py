"""R1: no header that a client sends reaches a link in somebody's mail.

GHSA-2wmj-46rj-qm2w and its like build links from the Host header, or from what a proxy is said to
have forwarded: whoever asks for somebody's reset with `Host: evil.example` is sent that somebody's
token. Here every link is built from LIMEN_PUBLIC_URL.
"""

import re
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path

import httpx2
import pytest

from limen.limen import Limen
from limen.settings import Limit, Settings
from tests.mail_server import MailServer, mail_server
from tests.mailbox import sent
from tests.people import AUTH, PASSWORD

pytestmark = pytest.mark.anyio

PUBLIC = "https://login.example.com"
EVIL = "evil.example"
POISONED = {
    "Host": EVIL,
    "X-Forwarded-Host": EVIL,
    "X-Forwarded-Server": EVIL,
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Prefix": f"//{EVIL}",
    "X-Original-URL": f"https://{EVIL}/",
    "X-Host": EVIL,
    "Forwarded": f"host={EVIL};proto=http",
    "Origin": f"https://{EVIL}",
    "Referer": f"https://{EVIL}/",
    "User-Agent": f"https://{EVIL}/",
}

# Whatever makes limen send a link to an address, asked for by somebody else.
CALLS = (
    ("register", {"email": "ada@example.com", "password": PASSWORD}),
    ("email/verify", {"email": "ada@example.com"}),
    ("password/forgot", {"email": "ada@example.com"}),
)


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with mail_server() as server:
        yield server


@pytest.fixture
def settings(tmp_path: Path, sqlite_url: str, server: MailServer) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        database_url=sqlite_url,
        signing_algorithm="ES256",
        public_url=PUBLIC,
        smtp_url=f"smtp://localhost:{server.port}",
        mail_from="no-reply@example.com",
        trusted_proxies=(ip_network("127.0.0.1"),),  # even a proxy that is trusted has no say
        mail_limit=Limit(100, 60),
    )


@pytest.fixture
def database_url(migrated_sqlite_url: str) -> str:
    return migrated_sqlite_url


async def test_every_link_leads_to_the_public_url(
    limen: Limen, http: httpx2.AsyncClient, server: MailServer
) -> None:
    for path, body in CALLS:
        for name, value in POISONED.items():
            answer = await http.post(f"{AUTH}/{path}", json=body, headers={name: value})
            assert answer.status_code == 202, (path, name)
    await sent(limen)

    links = set()
    for received in server.received:
        shown = received.text() + received.text("html")
        assert EVIL not in received.raw.decode()
        assert EVIL not in shown
        links |= set(re.findall(r"https?://[^\s\"<]+", shown))
    assert len(server.received) == len(CALLS) * len(POISONED)
    assert {link.partition("#")[0] for link in links} == {f"{PUBLIC}/account"}


async def test_not_even_the_id_of_a_mail_is_the_clients(
    limen: Limen, http: httpx2.AsyncClient, server: MailServer
) -> None:
    await http.post(f"{AUTH}/register", json=CALLS[0][1], headers=POISONED)
    await sent(limen)

    assert server.received[0].message["Message-ID"].endswith("@login.example.com>")
