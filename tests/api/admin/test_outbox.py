"""/outbox: an administrator sees what became of letters, not what they say or whom they are for."""

import secrets

import pytest

from limen.clock import SECOND
from limen.database.schema import outbox
from limen.limen import Limen
from tests.api.admin.conftest import ask
from tests.api.admin.test_users import trail
from tests.clock import ManualClock
from tests.conftest import on_sqlite
from tests.people import Person
from tests.stored import rows

pytestmark = pytest.mark.anyio


LATER = 3600 * SECOND


async def put(limen: Limen, clock: ManualClock, count: int = 1) -> list[str]:
    """Put letters into the outbox whose time has not come; return their ids."""
    letters = [secrets.token_hex(16) for _ in range(count)]
    row = {"kind": "mail", "subject": "test", "sealed": b"ada@example.com", "attempts": 1}
    times = {"created_at": clock(), "due_at": clock() + LATER, "outcome": "waiting"}
    async with limen.features.database.write() as connection:
        for letter in letters:
            await connection.execute(outbox.insert().values(id=letter, **row, **times))
    return letters


async def test_letters_are_listed_a_page_at_a_time(
    limen: Limen, root: Person, clock: ManualClock
) -> None:
    letters = await put(limen, clock, 5)
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = await ask(root, "GET /outbox", limit=2, after=cursor, state="waiting")
        assert "ada@" not in answer.text
        seen += [letter["id"] for letter in answer.json()["letters"]]
        cursor = answer.json()["next"]

    assert sorted(seen) == sorted(letters)
    assert (await ask(root, "GET /outbox", state="failed")).json() == {"letters": [], "next": None}
    letter = (await ask(root, "GET /outbox")).json()["letters"][0]
    assert {*letter} == {
        *("id", "kind", "subject", "state", "attempts", "created_at"),
        *("next_try_at", "finished_at", "answer"),
    }


async def test_a_letter_that_waits_is_tried_at_once(
    limen: Limen, root: Person, clock: ManualClock
) -> None:
    (letter,) = await put(limen, clock)
    async with limen.features.database.write() as connection:
        await connection.execute(outbox.update().values(kind="for nobody"))
    assert (await ask(root, f"POST /outbox/{letter}/retry")).status_code == 204
    (row,) = await rows(limen, outbox)
    assert row.due_at == clock()
    (entry,) = await trail(limen, root, "letter.hurried")
    assert entry["detail"] == {"letter": letter}


@on_sqlite
async def test_a_letter_that_is_done_with_stays_so(
    limen: Limen, root: Person, clock: ManualClock
) -> None:
    (letter,) = await put(limen, clock)
    async with limen.features.database.write() as connection:
        await connection.execute(outbox.update().values(due_at=None, outcome="delivered"))

    for gone in (letter, "0" * 32):
        answer = await ask(root, f"POST /outbox/{gone}/retry")
        assert (answer.status_code, answer.json()["code"]) == (404, "letter_not_found")
