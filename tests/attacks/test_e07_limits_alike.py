"""E7: a limit that came at another attempt for known addresses told which they are."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from limen.limen import Limen
from limen.settings import Settings
from tests.mailbox import answered
from tests.people import AUTH, Person, calling_from
from tests.strangers import ASKING, populate, shown, with_mail

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return with_mail(tmp_path, database_url)


@pytest.mark.parametrize("what", ASKING)
async def test_the_sixth_mail_is_refused_alike_for_every_address(
    limen: Limen, ada: Person, what: str
) -> None:
    emails = await populate(limen)
    answers = {}
    for number, email in enumerate(emails.values()):
        async with calling_from(limen, f"198.51.100.{number}") as client:
            person = Person(client, ada.email, ada.user_id, tokens=ada.tokens)
            answers[email] = [shown(await ASKING[what](person, email)) for _ in range(6)]
    await answered(limen)

    first, *others = answers.values()
    assert [status for status, _, _ in first] == [202] * 5 + [429]
    assert [one for one in others if one != first] == []


@pytest.mark.parametrize("path", ["email/verify/confirm", "email/change/confirm"])
async def test_guessing_codes_is_refused_alike_for_every_address(limen: Limen, path: str) -> None:
    """A code that is sent and one that is not cannot be told apart without the password."""
    emails = await populate(limen)
    answers = {}
    for number, email in enumerate(emails.values()):
        body: dict[str, Any] = {"email": email, "code": "000000", "password": "not the password"}
        async with calling_from(limen, f"198.51.100.{number}") as client:
            answers[email] = [shown(await _post(client, path, body)) for _ in range(6)]

    first, *others = answers.values()
    assert [status for status, _, _ in first] == [401] * 5 + [429]
    assert [one for one in others if one != first] == []


async def _post(client: httpx2.AsyncClient, path: str, body: dict[str, Any]) -> httpx2.Response:
    return await client.post(f"{AUTH}/{path}", json=body)
