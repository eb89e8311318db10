"""Statements that are compiled once: they do what the statement does, and drivers remember them."""

from typing import Any

import pytest
from psycopg._queries import MAX_CACHED_STATEMENT_LENGTH, MAX_CACHED_STATEMENT_PARAMS
from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.dialects.postgresql.psycopg import dialect
from sqlalchemy.exc import MultipleResultsFound
from sqlalchemy.sql import ClauseElement

from limen.database.prepared import Prepared
from limen.database.schema import accounts, blocked_passwords, rate_limits
from limen.limen import Limen
from limen.rate_limits import _giving_back, _take_statement
from limen.refresh import HONEST
from limen.sessions import _start
from tests.driver import Call, watching
from tests.people import Person
from tests.stored import rows as stored_rows

FIND = select(accounts.c.user_id, accounts.c.cv).where(
    accounts.c.email == bindparam("email"), accounts.c.cv + 1 == bindparam("next_cv")
)
HOT = {
    "refresh": HONEST,
    "start": _start(),
    "take": _take_statement(insert(rate_limits), 2),
    "give back": _giving_back(2).statement,
}


@pytest.mark.anyio
async def test_it_is_compiled_once_and_takes_other_values_each_time(
    limen: Limen, ada: Person
) -> None:
    find = Prepared(FIND)
    async with limen.features.database.read() as connection:
        found = [
            await find.row(connection, {"email": email, "next_cv": 2})
            for email in (ada.email, "nobody@example.com")
        ]

    assert found == [(ada.user_id, 1), None]
    assert len(find._compiled) == 1


@pytest.mark.anyio
async def test_where_one_row_is_meant_a_second_is_a_mistake(limen: Limen, ada: Person) -> None:
    everybody = Prepared(select(accounts.c.user_id))
    async with limen.features.database.read() as connection:
        assert (await everybody.row(connection, {})).user_id == ada.user_id
    await limen.features.accounts.create("eve@example.com", "correct horse battery staple")
    async with limen.features.database.read() as connection:
        with pytest.raises(MultipleResultsFound):
            await everybody.row(connection, {})


@pytest.mark.anyio
@pytest.mark.parametrize("count", [0, 1, 7])
async def test_it_is_run_with_each_of_many_values_in_one_go(limen: Limen, count: int) -> None:
    """An import or the end of many sessions records hundreds of entries while others wait."""
    asked: list[str] = []

    async def note(call: Call) -> Any:
        asked.append(call.text)
        return await call.make()

    rows = [{"digest": number, "added_at": number} for number in range(count)]
    async with limen.features.database.write() as connection:
        with watching(note):
            await Prepared(insert(blocked_passwords)).each(connection, rows)

    assert len([text for text in asked if text.startswith("INSERT")]) == min(count, 1)
    assert len(await stored_rows(limen, blocked_passwords)) == count


@pytest.mark.parametrize("statement", HOT.values(), ids=HOT.keys())
def test_psycopg_remembers_the_hot_ones(statement: ClauseElement) -> None:
    """What is longer it takes apart at each use, which costs more than the rest of a refresh."""
    compiled = statement.compile(dialect=dialect())  # type: ignore[no-untyped-call]

    assert len(str(compiled)) <= MAX_CACHED_STATEMENT_LENGTH
    assert len(compiled.params) <= MAX_CACHED_STATEMENT_PARAMS
