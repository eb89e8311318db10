"""Everything a stranger may ask for an address, and one account in each state that it may be in."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx2

from limen.limen import Limen
from limen.settings import Settings
from tests.mailbox import MAIL_FROM, SMTP_URL
from tests.people import AUTH, PASSWORD, Person

# What becomes of it is told by mail to the owner of the address alone.
STATES = ("free", "verified", "unverified", "disabled", "invited")

Ask = Callable[[Person, str], Awaitable[httpx2.Response]]


def with_mail(tmp_path: Path, database_url: str, **options: object) -> Settings:
    """Return the settings of a limen that has a mail server."""
    return Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        signing_algorithm="ES256",
        smtp_url=SMTP_URL,
        mail_from=MAIL_FROM,
        **options,  # type: ignore[arg-type]
    )


async def populate(limen: Limen, states: tuple[str, ...] = STATES) -> dict[str, str]:
    """Make an account in each state; return the addresses by the states."""
    accounts, emails = limen.features.accounts, {state: f"{state}@example.com" for state in states}
    for state, email in emails.items():
        if state == "invited":
            await limen.features.invitations.invite(email)
        elif state != "free":
            account = await accounts.create(email, PASSWORD)
            if state == "disabled":
                await accounts.disable(account.user_id)
            if state == "verified":
                await accounts.change(account.user_id, "email_verified", verified_at=1)
    return emails


async def register(person: Person, email: str) -> httpx2.Response:
    body = {"email": email, "password": "another fine password"}
    return await person.http.post(f"{AUTH}/register", json=body)


async def verify(person: Person, email: str) -> httpx2.Response:
    return await person.http.post(f"{AUTH}/email/verify", json={"email": email})


async def forgot(person: Person, email: str) -> httpx2.Response:
    return await person.http.post(f"{AUTH}/password/forgot", json={"email": email})


async def change(person: Person, email: str) -> httpx2.Response:
    """Ask for it as the new address of an account of one's own."""
    body = {"email": email, "current_password": person.password}
    return await person.http.post(f"{AUTH}/email/change", json=body, headers=person.bearer())


ASKING: dict[str, Ask] = {
    "register": register,
    "verify": verify,
    "forgot": forgot,
    "change": change,
}


def shown(answer: httpx2.Response) -> tuple[int, bytes, dict[str, str]]:
    """Return all that a client sees of an answer, but for what names this one request."""
    headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    return answer.status_code, answer.content, headers
