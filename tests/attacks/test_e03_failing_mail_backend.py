"""E3, CVE-2024-45231 (Django): a mail server that fails told who has an account.

Mail leaves after the answer, so however it fails, asking is answered alike, and at once.
"""

import asyncio
from pathlib import Path

import pytest

from limen.limen import Limen
from limen.outbox import Carrier, Letter, NotDelivered, Undeliverable
from limen.settings import Settings
from tests.mailbox import answered, written
from tests.people import Person
from tests.strangers import ASKING, Ask, populate, shown, with_mail

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return with_mail(tmp_path, database_url)


async def down(_: Letter) -> str:
    raise NotDelivered("connection refused")


async def refusing(_: Letter) -> str:
    raise Undeliverable("550 no such mailbox")


async def broken(_: Letter) -> str:
    raise RuntimeError("a mistake")


async def hanging(_: Letter) -> str:
    await asyncio.Event().wait()
    return ""


@pytest.mark.parametrize("backend", [down, refusing, broken, hanging])
@pytest.mark.parametrize("ask", ASKING.values(), ids=ASKING)
async def test_a_mail_server_that_fails_changes_no_answer(
    limen: Limen, ada: Person, ask: Ask, backend: Carrier
) -> None:
    emails = await populate(limen)
    limen.features.outbox.carried_by("mail", backend)

    answers = []
    for email in emails.values():
        answers.append(shown(await ask(ada, email)))
        await answered(limen)
        if backend is not hanging:
            await limen.features.outbox.work("mail")
    assert answers[0][0] == 202
    assert [one for one in answers if one != answers[0]] == []

    letters = await written(limen, "mail")
    assert len(letters) >= 2
    if backend is refusing:
        assert {row.outcome for row in letters} == {"failed"}
