"""The page that the links in mails open, in Chromium."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limen import app as standalone
from limen.limen import Limen
from tests.browser.devtools import Browser, Tab, chromium
from tests.clock import ManualClock
from tests.people import AUTH, PASSWORD
from tests.serving import listening

pytestmark = pytest.mark.anyio

EMAIL = "ada@example.com"
READY = "document.querySelector('#form:not([hidden]), #choices:not([hidden])') !== null"
TOKEN = "A7xQ" * 6


@dataclass
class Listener:
    """An application around another that keeps what it was asked."""

    app: ASGIApp
    targets: list[str] = field(default_factory=list)
    referers: set[str] = field(default_factory=set)
    posted: list[tuple[str, Any]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name: value.decode() for name, value in scope["headers"]}
        self.targets.append(scope["path"] + "?" + scope["query_string"].decode())
        self.referers.add(headers.get(b"referer", ""))

        if scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        message = await receive()  # small bodies come in one piece
        self.posted.append((scope["path"], json.loads(message["body"])))

        async def again() -> Message:
            return message

        await self.app(scope, again, send)


@dataclass
class Page:
    """The page, opened by a link, and what was asked of limen meanwhile."""

    tab: Tab
    url: str
    heard: Listener

    async def open(self, fragment: str) -> None:
        await self.tab.send("Page.navigate", url="about:blank")
        await self.tab.send("Page.navigate", url=f"{self.url}/account#{fragment}")
        await self.tab.until(f"location.pathname === '/account' && {READY}")

    async def text(self, element: str) -> str:
        found: str = await self.tab.run(f"document.getElementById('{element}').textContent")
        return found

    async def fields(self) -> list[str]:
        """Return the names of the fields that a person sees."""
        visible = "[...document.querySelectorAll('input[name]')].filter((i) => i.offsetParent)"
        found: list[str] = await self.tab.run(f"{visible}.map((input) => input.name)")
        return found

    async def send(self, **values: str) -> None:
        for name, value in values.items():
            await self.tab.run(f"document.getElementById('{name}').value = '{value}'")
        await self.tab.run("document.getElementById('send').click()")
        await self.tab.until("!document.getElementById('send').disabled")

    async def focus(self) -> str:
        found: str = await self.tab.run("document.activeElement.id")
        return found


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    async with chromium(tmp_path / "profile") as browser:
        yield browser


@pytest.fixture
async def page(limen: Limen, browser: Browser) -> AsyncIterator[Page]:
    heard = Listener(standalone.build(limen))
    async with listening(heard) as url:
        tab = await browser.tab(f"{url}/account")
        yield Page(tab, url, heard)


@pytest.fixture
async def programs(page: Page) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=page.url, trust_env=False) as client:
        yield client


async def newest(programs: httpx2.AsyncClient, message: str) -> dict[str, Any]:
    """Return the newest such mail."""
    letters = (await programs.get("/dev/inbox")).json()
    return next(one for one in letters if one["message"] == message)


async def link_in_mail(programs: httpx2.AsyncClient, message: str) -> str:
    """Return the fragment of its link."""
    link: str = (await newest(programs, message))["link"]
    return link.partition("#")[2]


def errors(browser: Browser) -> list[str]:
    """Return what the console has complained of, beside answers that refuse."""
    refused = "the server responded with a status of 4"
    return [line for line in browser.console if '"error"' in line and refused not in line]


async def test_a_link_confirms_the_address_when_the_button_is_pressed(
    page: Page, programs: httpx2.AsyncClient, browser: Browser
) -> None:
    registration = {"email": EMAIL, "password": PASSWORD}
    assert (await programs.post(f"{AUTH}/register", json=registration)).status_code == 201
    fragment = await link_in_mail(programs, "verify")
    token = fragment.partition("=")[2]
    page.heard.posted.clear()
    await page.open(fragment)

    assert await page.tab.run("location.href") == f"{page.url}/account"
    assert await page.text("title") == "Confirm your e-mail address"
    assert (await page.fields(), await page.focus()) == (["password"], "password")
    assert page.heard.posted == []

    await page.send(password="wrong")
    assert await page.text("problem") == "The e-mail address or the password is wrong."
    await page.send(password=PASSWORD)
    assert "Your e-mail address is confirmed" in await page.text("done")
    assert (await page.fields(), await page.focus()) == ([], "done")

    path = f"{AUTH}/email/verify/confirm"
    assert page.heard.posted == [
        (path, {"code": token, "password": "wrong"}),
        (path, {"code": token, "password": PASSWORD}),
    ]
    assert not [target for target in page.heard.targets if token in target]
    assert page.heard.referers == {""}
    assert errors(browser) == []


async def test_a_forgotten_password_is_replaced_by_link_and_by_digits(
    page: Page, programs: httpx2.AsyncClient, limen: Limen, clock: ManualClock
) -> None:
    await limen.features.accounts.create(EMAIL, PASSWORD)
    for number in "12":
        clock.tick(1)
        await page.open("forgot")
        assert await page.fields() == ["email"]
        await page.send(email=EMAIL)
        await page.tab.until("location.hash === '#reset'")
        assert (await page.fields(), await page.focus()) == (["email", "code", "password"], "code")

        letter = await newest(programs, "reset")
        password = f"{PASSWORD} {number}"
        if number == "1":
            await page.send(code=letter["code"], password=password)
        else:
            await page.open(letter["link"].partition("#")[2])
            assert await page.fields() == ["password"]
            await page.send(password=password)
        assert "You have a new password" in await page.text("done")
        login = {"email": EMAIL, "password": password}
        assert (await programs.post(f"{AUTH}/login", json=login)).status_code == 200


async def test_an_invitation_opens_an_account(
    page: Page, programs: httpx2.AsyncClient, limen: Limen
) -> None:
    await limen.features.invitations.invite(EMAIL)
    await page.open(await link_in_mail(programs, "invite"))
    assert await page.fields() == ["email", "password"]
    await page.send(email=EMAIL, password=PASSWORD)

    assert "Your account is open" in await page.text("done")
    login = {"email": EMAIL, "password": PASSWORD}
    assert (await programs.post(f"{AUTH}/login", json=login)).status_code == 200


async def test_six_digits_are_sent_with_the_address_they_belong_to(page: Page) -> None:
    for fragment, path, name in (
        ("verify", "email/verify/confirm", "code"),
        ("reset", "password/reset", "code"),
        ("email_change", "email/change/confirm", "code"),
        ("invite", "register", "invitation"),
    ):
        await page.open(fragment)
        assert await page.fields() == ["email", "code", "password"]
        await page.send(email=EMAIL, code=" 618 034", password=PASSWORD)

        body = {"email": EMAIL, name: "618034", "password": PASSWORD}
        assert page.heard.posted.pop() == (f"{AUTH}/{path}", body)


async def test_a_token_is_sent_with_a_password(page: Page) -> None:
    for fragment, path in (("reset", "password/reset"), ("email_change", "email/change/confirm")):
        await page.open(f"{fragment}={TOKEN}")
        assert await page.tab.run("location.hash") == ""
        await page.send(password=PASSWORD)

        body = {"code": TOKEN, "password": PASSWORD}
        assert page.heard.posted.pop() == (f"{AUTH}/{path}", body)


async def test_whoever_asks_for_a_mail_can_type_its_digits_at_once(page: Page) -> None:
    await page.open("again")
    assert await page.fields() == ["email"]
    await page.send(email=EMAIL)
    await page.tab.until("location.hash === '#verify'")

    assert page.heard.posted == [(f"{AUTH}/email/verify", {"email": EMAIL})]
    assert (await page.fields(), await page.focus()) == (["email", "code", "password"], "code")
    assert await page.tab.run("document.getElementById('email').value") == EMAIL


async def test_a_link_that_is_not_whole_offers_ways_on(page: Page, browser: Browser) -> None:
    for fragment in (
        "verify=abc",
        "verify=",
        f"verify={TOKEN}%0a<b>",
        "x",
        f"x={TOKEN}",
        "__proto__",
    ):
        await page.open(fragment)
        assert await page.fields() == []
        assert await page.text("title") == "Your account"
        assert "=" not in await page.tab.run("location.hash")

    assert errors(browser) == []


async def test_a_second_link_in_the_same_tab_takes_the_place_of_the_first(page: Page) -> None:
    await page.open(f"reset={TOKEN}")
    await page.tab.run(f"void (location.hash = '#verify={TOKEN}2')")
    await page.tab.until("document.title === 'Confirm your e-mail address'")
    await page.send(password=PASSWORD)

    assert page.heard.posted[0][1]["code"] == f"{TOKEN}2"


async def test_a_refused_code_offers_another_and_a_refused_field_is_marked(page: Page) -> None:
    await page.open(f"verify={TOKEN}")
    await page.send(password=PASSWORD)
    assert "wrong, used or expired" in await page.text("problem")
    assert not await page.tab.run("document.getElementById('choices').hidden")

    await page.open(f"invite={TOKEN}")
    await page.send(email=EMAIL, password="short")
    assert await page.tab.run("document.querySelector('[aria-invalid=true]').id") == "password"
    assert await page.focus() == "password"


async def test_the_page_of_a_letter_shows_its_html_and_runs_nothing(
    page: Page, programs: httpx2.AsyncClient, browser: Browser, limen: Limen
) -> None:
    async with limen.features.log.change() as change:
        await limen.features.mail.post(change, "password_changed", EMAIL)
    (letter,) = (await programs.get("/dev/inbox")).json()
    await page.tab.go(f"{page.url}/dev/inbox/{letter['id']}")
    await page.tab.until("document.readyState === 'complete'")

    assert await page.text("text") == letter["text"]
    assert await page.tab.run("document.querySelector('iframe').contentDocument") is None
    assert errors(browser) == []
