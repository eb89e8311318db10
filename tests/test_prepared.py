"""Statements that are compiled once: they do what the statement does, and drivers remember them."""

import sqlite3
from typing import Any

import psycopg
import pytest
from psycopg._queries import MAX_CACHED_STATEMENT_LENGTH, MAX_CACHED_STATEMENT_PARAMS
from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.dialects.postgresql.psycopg import dialect
from sqlalchemy.exc import MultipleResultsFound
from sqlalchemy.sql import ClauseElement

from limen.database.connections import UnexpectedRows
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
@pytest.mark.parametrize("after", ["the commit", "another statement"])
async def test_what_is_run_later_is_undone_where_it_returns_other_rows_than_it_should(
    limen: Limen, ada: Person, after: str
) -> None:
    await limen.features.accounts.create("eve@example.com", "correct horse battery staple")
    setting = Prepared(update(accounts).values(cv=bindparam("new_cv")).returning(accounts.c.cv))

    async def set_cv(new_cv: int, rows: int) -> None:
        async with limen.features.database.write() as connection:
            setting.later(connection, {"new_cv": new_cv}, rows=rows)
            if after == "another statement":
                await connection.execute(delete(rate_limits))

    await set_cv(7, rows=2)
    for rows in (1, 3):
        with pytest.raises(UnexpectedRows):
            await set_cv(8, rows)

    assert {row.cv for row in await stored_rows(limen, accounts)} == {7}
    assert ada.email == "ada@example.com"


@pytest.mark.anyio
async def test_what_is_run_later_and_fails_leaves_nothing_behind(limen: Limen, ada: Person) -> None:
    await limen.features.accounts.create("eve@example.com", "correct horse battery staple")
    same_key = update(accounts).values(email_key=bindparam("key")).returning(accounts.c.cv)
    for _ in range(3):
        with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
            async with limen.features.database.write() as connection:
                Prepared(same_key).later(connection, {"key": "one for both"}, rows=2)

    assert len({row.email_key for row in await stored_rows(limen, accounts)}) == 2
    assert (await ada.refresh()).status_code == 200  # on the connection that it failed on


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
