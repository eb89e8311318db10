"""R6: no code stands where addresses are written down, and looking at a link uses nothing up.

What stands in the path or the query of a URL ends up in the logs of servers and proxies, in the
history, and in the Referer header that the page's next request carries to somebody else. And what
a GET changes is changed by the programs that open the links of every mail before its reader does.
"""

import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from limen.codes import Code
from limen.limen import Limen
from limen.mail import MESSAGES
from limen.settings import Settings
from tests.mail_server import MailServer, mail_server
from tests.mailbox import sent
from tests.people import AUTH, PASSWORD

pytestmark = pytest.mark.anyio

CODE = Code(token="A7xQ" * 6, digits="618034")
REGISTRATION = {"email": "ada@example.com", "password": PASSWORD}


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with mail_server() as server:
        yield server


@pytest.fixture
def database_url(migrated_sqlite_url: str) -> str:
    return migrated_sqlite_url


@pytest.fixture
def settings(tmp_path: Path, database_url: str, server: MailServer) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        signing_algorithm="ES256",
        public_url="https://login.example.com",
        smtp_url=f"smtp://localhost:{server.port}",
        mail_from="no-reply@example.com",
    )


async def test_a_token_stands_in_the_fragment_and_digits_in_no_link(
    limen: Limen, server: MailServer
) -> None:
    async with limen.features.log.change() as change:
        for message in MESSAGES:
            await limen.features.mail.post(change, message, "ada@example.com", code=CODE)
    await sent(limen)

    assert len(server.received) == len(MESSAGES)
    for received in server.received:
        shown = received.text() + received.text("html")
        for link in re.findall(r"https?://[^\s\"<]+", shown):
            parts = urlsplit(link)
            assert CODE.token not in parts.netloc + parts.path + parts.query
            assert CODE.digits not in link
        assert CODE.token not in str(received.message.items())
        assert CODE.digits not in str(received.message.items())


async def mailed_link(
    limen: Limen, http: httpx2.AsyncClient, server: MailServer
) -> tuple[str, str]:
    """Register somebody; return the link that he is mailed, without its host, and its token."""
    assert (await http.post(f"{AUTH}/register", json=REGISTRATION)).status_code == 202
    await sent(limen)
    found = re.search(
        r"https://login\.example\.com(/account#verify=(\S+))", server.received[0].text()
    )
    assert found is not None
    return found[1], found[2]


async def test_whoever_opens_a_link_leaves_it_good(
    limen: Limen, http: httpx2.AsyncClient, server: MailServer
) -> None:
    link, token = await mailed_link(limen, http, server)
    confirming = {"code": token, "password": PASSWORD}
    for method in ("GET", "HEAD", "OPTIONS", "GET"):
        await http.request(method, link)
        await http.request(method, f"/account?verify={token}")
        await http.request(method, f"{AUTH}/email/verify/confirm", params=confirming)

    answer = await http.post(f"{AUTH}/email/verify/confirm", json=confirming)
    assert answer.status_code == 204


async def test_no_log_line_holds_a_code_wherever_it_was_put(
    limen: Limen,
    http: httpx2.AsyncClient,
    server: MailServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        link, token = await mailed_link(limen, http, server)
        await http.get(link)
        referer = f"https://login.example.com{link}"
        await http.get(f"/account?verify={token}", headers={"Referer": referer, "X-Code": token})
        body = {"code": token, "password": PASSWORD}
        await http.post(f"{AUTH}/email/verify/confirm", json=body)

    told = [str(vars(record)) for record in caplog.records if record.name.startswith("limen")]
    assert sum("'account'" in line for line in told) == 2
    assert not [line for line in told if token in line]
