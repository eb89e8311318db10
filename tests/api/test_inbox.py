"""GET /dev/inbox: for whoever sits at the machine, and nobody else."""

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import product
from typing import Any

import httpx2
import pytest

from limen import app as standalone
from limen.api.inbox import PROXIES
from limen.codes import Code
from limen.limen import Limen
from limen.settings import Settings
from limen.sweep import KEPT_AFTER_DELIVERY
from tests.clock import ManualClock
from tests.conftest import on_sqlite
from tests.people import AUTH
from tests.running import running

pytestmark = pytest.mark.anyio

CODE = Code(token="A7xQ" * 6, digits="618034")
LINK = f"http://localhost:8000/account#reset={CODE.token}"
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
UNKNOWN = "/no/such/path"
FOREIGN = (
    *("evil.example", "localhost.evil.example", "127.0.0.1.evil.example"),
    *("192.0.2.1", "xlocalhost", "localhost@evil.example", "0x7f000001"),
)


def sitting_at(
    limen: Limen, *, peer: Any = ("127.0.0.1", 4711), host: str = "localhost:8000"
) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(standalone.build(limen), client=peer)
    return httpx2.AsyncClient(transport=transport, base_url=f"http://{host}")


@pytest.fixture
async def here(limen: Limen) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser on this machine."""
    async with sitting_at(limen) as client:
        yield client


async def post(limen: Limen, message: Any = "reset", to: str = "ada@example.com") -> None:
    code = CODE if message == "reset" else None
    async with limen.features.log.change() as change:
        await limen.features.mail.post(change, message, to, code=code, useful_for=3600)


async def letters(here: httpx2.AsyncClient) -> list[dict[str, Any]]:
    answer = await here.get("/dev/inbox?format=json")
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()
    return found


async def test_mail_that_was_not_sent_can_be_read(
    limen: Limen, here: httpx2.AsyncClient, clock: ManualClock
) -> None:
    assert await letters(here) == []
    await post(limen)
    clock.tick(1)
    await post(limen, "password_changed", "bob@example.com")

    newest, oldest = await letters(here)
    assert (newest["to"], newest["message"]) == ("bob@example.com", "password_changed")
    assert (newest["link"], newest["code"]) == (None, None)
    assert (oldest["to"], oldest["link"], oldest["code"]) == ("ada@example.com", LINK, "618034")
    assert oldest["subject"] == "Choose a new password for limen"
    assert LINK in oldest["text"]
    assert oldest["sent"].endswith("Z")


async def test_one_letter_is_shown_as_text_and_in_a_frame_that_runs_nothing(
    limen: Limen, here: httpx2.AsyncClient
) -> None:
    await post(limen)
    (letter,) = await letters(here)
    path = f"/dev/inbox/{letter['id']}"

    assert (await here.get(path)).json() == letter
    page = (await here.get(path, headers=HTML)).text
    assert f'<a href="{LINK}"' in page
    assert "<code>618034</code>" in page
    assert '<iframe sandbox srcdoc="&lt;!doctype html&gt;' in page
    assert page.count("<!doctype html>") == 1


async def test_a_browser_gets_a_page_and_a_program_json(
    limen: Limen, here: httpx2.AsyncClient
) -> None:
    await post(limen)
    page = await here.get("/dev/inbox", headers=HTML)

    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<td>ada@example.com</td>" in page.text
    for accept in ("*/*", "application/json", ""):
        answer = await here.get("/dev/inbox", headers={"Accept": accept})
        assert answer.headers["Content-Type"] == "application/json"
    answer = await here.get("/dev/inbox?format=json", headers=HTML)
    assert answer.headers["Content-Type"] == "application/json"


async def test_what_was_asked_for_before_is_there(limen: Limen, here: httpx2.AsyncClient) -> None:
    """Although a request is worked off in the background, and its mail written after that."""

    async def answer(_letter: object) -> str:
        await post(limen)
        return "sent"

    limen.features.outbox.answered_by("a test", answer)
    async with limen.features.log.change() as change:
        await limen.features.outbox.put(change, "request", "a test", {}, useful_for=60)

    assert len(await letters(here)) == 1


@on_sqlite
async def test_what_a_stranger_typed_is_escaped(settings: Settings, clock: ManualClock) -> None:
    hostile = replace(settings, service_name="<script>alert(1)</script>")
    async with running(hostile, clock) as limen, sitting_at(limen) as here:
        await post(limen)
        (letter,) = await letters(here)
        pages = [
            (await here.get(path, headers=HTML)).text
            for path in ("/dev/inbox", f"/dev/inbox/{letter['id']}")
        ]

    assert not [page for page in pages if "<script" in page]


@on_sqlite
@pytest.mark.parametrize("path", ["/dev/inbox", "/dev/inbox/{}"])
async def test_its_pages_run_nothing_and_are_shown_by_nobody_else(
    limen: Limen, here: httpx2.AsyncClient, path: str
) -> None:
    await post(limen)
    (letter,) = await letters(here)
    for accept in (HTML, {"Accept": "*/*"}):
        headers = (await here.get(path.format(letter["id"]), headers=accept)).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["X-Content-Type-Options"] == "nosniff"


@on_sqlite
class TestFromElsewhere:
    """Whoever does not sit at the machine is told what he is told of any unknown path."""

    async def refusals(self, client: httpx2.AsyncClient, **headers: str) -> None:
        unknown = await client.get(UNKNOWN, headers=headers)
        for path in ("/dev/inbox", "/dev/inbox?format=json", f"/dev/inbox/{'0' * 32}"):
            answer = await client.get(path, headers=headers)
            assert (answer.status_code, answer.content) == (404, unknown.content)
            assert {*answer.headers} == {*unknown.headers}

    async def test_another_machine_sees_nothing(self, limen: Limen) -> None:
        await post(limen)
        for peer in (("192.0.2.1", 1), ("::ffff:192.0.2.1", 1), ("fe80::1", 1), None):
            async with sitting_at(limen, peer=peer) as client:
                await self.refusals(client)

    async def test_whoever_comes_through_a_proxy_sees_nothing(self, limen: Limen) -> None:
        for name in PROXIES:
            async with sitting_at(limen) as client:
                await self.refusals(client, **{name: "127.0.0.1"})

    async def test_a_page_whose_name_was_pointed_here_sees_nothing(self, limen: Limen) -> None:
        for host in FOREIGN:
            async with sitting_at(limen, host=host) as client:
                await self.refusals(client)

    async def test_two_host_headers_or_none_see_nothing(self, limen: Limen) -> None:
        app = standalone.build(limen)
        for hosts in ([], [b"localhost", b"evil.example"], [b"evil.example", b"localhost"], [b""]):
            assert await _status(app, [(b"host", host) for host in hosts]) == 404
        assert await _status(app, [(b"host", b"localhost")]) == 200

    async def test_this_machine_by_any_of_its_names_does(self, limen: Limen) -> None:
        peers = (("127.0.0.1", 1), ("::1", 1), ("::ffff:127.0.0.1", 1))
        hosts = ("localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000")
        for peer, host in product(peers, hosts):
            async with sitting_at(limen, peer=peer, host=host) as client:
                assert (await client.get("/dev/inbox")).status_code == 200


async def _status(app: Any, headers: list[tuple[bytes, bytes]]) -> int:
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/dev/inbox",
        "raw_path": b"/dev/inbox",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
        "scheme": "http",
        "http_version": "1.1",
        "root_path": "",
    }
    said: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        said.append(message)

    await app(scope, receive, send)
    status: int = said[0]["status"]
    return status


@on_sqlite
@pytest.mark.parametrize(
    "options",
    [
        {"public_url": "https://login.example.com"},
        {"smtp_url": "smtp://localhost:9"},
    ],
    ids=["in production", "with a mail server"],
)
async def test_elsewhere_there_is_no_inbox(
    settings: Settings, clock: ManualClock, options: Any
) -> None:
    async with running(replace(settings, **options), clock) as limen, sitting_at(limen) as here:
        await post(limen)
        unknown = await here.get(UNKNOWN)
        answer = await here.get("/dev/inbox")
        assert (answer.status_code, answer.content) == (404, unknown.content)
        assert "inbox" not in {getattr(route, "name", "") for route in limen.router.routes}


@on_sqlite
async def test_the_start_says_where_it_is(
    settings: Settings, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "limen"):
        async with running(settings, clock):
            pass

    assert "mail is not sent: read it at http://localhost:8000/dev/inbox" in caplog.messages


async def test_kept_mail_goes_after_some_days(
    limen: Limen, here: httpx2.AsyncClient, clock: ManualClock
) -> None:
    await post(limen)
    assert len(await letters(here)) == 1
    clock.tick(KEPT_AFTER_DELIVERY / 1_000_000 + 1)
    await limen.features.sweep.once()

    assert await letters(here) == []


@on_sqlite
async def test_registering_reaches_the_inbox(limen: Limen, here: httpx2.AsyncClient) -> None:
    body = {"email": "ada@example.com", "password": "correct horse battery staple"}
    assert (await here.post(f"{AUTH}/register", json=body)).status_code == 201
    (letter,) = await letters(here)

    assert (letter["to"], letter["message"]) == ("ada@example.com", "verify")
    assert limen.settings.mail_goes == "into the inbox"
