"""GET /account: the page that the links in mails open, and what it may do."""

import re
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

import limen as package
from limen.limen import Limen
from limen.mail_delivery import PAGE
from limen.settings import Settings

pytestmark = pytest.mark.anyio

STATIC = Path(package.__file__).parent / "static"
FILES = {"/account": "account.html", "/account.js": "account.js", "/account.css": "account.css"}
TYPES = {"/account": "text/html", "/account.js": "text/javascript", "/account.css": "text/css"}


@pytest.fixture
def database_url(migrated_sqlite_url: str) -> str:
    """A file of the package is no matter of the database."""
    return migrated_sqlite_url


def policy_of(answer: httpx2.Response) -> dict[str, str]:
    directives = answer.headers["Content-Security-Policy"].split("; ")
    return {name: values for name, _, values in (one.partition(" ") for one in directives)}


async def test_it_is_served_as_it_lies_in_the_package(http: httpx2.AsyncClient) -> None:
    for path, file in FILES.items():
        answer = await http.get(path)
        assert (answer.status_code, answer.content) == (200, (STATIC / file).read_bytes())
        assert answer.headers["Content-Type"] == f"{TYPES[path]}; charset=utf-8"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "set-cookie" not in answer.headers


async def test_it_is_where_links_lead(http: httpx2.AsyncClient) -> None:
    assert (await http.get(f"/{PAGE}")).status_code == 200


async def test_it_runs_its_own_files_and_nothing_else(http: httpx2.AsyncClient) -> None:
    policy = policy_of(await http.get("/account"))

    assert policy["default-src"] == "'none'"
    assert (policy["script-src"], policy["style-src"]) == ("'self'", "'self'")
    assert (policy["connect-src"], policy["img-src"]) == ("'self'", "data:")
    assert (policy["base-uri"], policy["form-action"]) == ("'none'", "'none'")
    assert "unsafe" not in str(policy)


async def test_it_cannot_be_framed_and_tells_nobody_where_its_reader_was(
    http: httpx2.AsyncClient,
) -> None:
    answer = await http.get("/account")

    assert answer.headers["X-Frame-Options"] == "DENY"
    assert policy_of(answer)["frame-ancestors"] == "'none'"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_page_holds_nothing_that_its_policy_would_stop() -> None:
    page = (STATIC / "account.html").read_text("utf-8")

    assert re.findall(r"""(?:src|href)="([^"#][^"]*)\"""", page) == [
        *("data:,", "account.css", "account.js"),
    ]
    assert not re.search(r"<style|<script(?![^>]* src=)|\son\w+=|\sstyle=|javascript:", page)


def test_every_field_has_a_label() -> None:
    page = (STATIC / "account.html").read_text("utf-8")
    fields = re.findall(r'<input id="(\w+)"', page)

    assert len(fields) == 4
    assert sorted(re.findall(r'<label for="(\w+)"', page)) == sorted(fields)


class TestInAnApplication:
    @pytest.mark.parametrize("is_guarded", [False, True])
    async def test_it_is_there_too(self, settings: Settings, *, is_guarded: bool) -> None:
        limen, app = Limen(settings), FastAPI()
        app.include_router(limen.router)
        if is_guarded:
            limen.guard(app)
        transport = httpx2.ASGITransport(app)
        async with (
            limen.lifespan(),
            httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http,
        ):
            for path in (*FILES, "/dev/inbox", "/dev/inbox?format=json"):
                assert (await http.get(path)).status_code == 200
