"""Accounts are found by how their addresses begin, as a person would expect, and by the index."""

import pytest
from sqlalchemy import ColumnElement, Select, text

from limen.account_search import AccountPage, State, _query
from limen.administration import ANY_LEFT
from limen.limen import Limen
from limen.stored_hashes import NO_PASSWORD

pytestmark = pytest.mark.anyio

ADDRESSES = (
    "Ada@example.com",
    "adam@example.com",
    "ada.lovelace@example.org",
    "a%b@example.com",
    "a_b@example.com",
    "axb@example.com",
    "bob@bücher.de",
    "Straße@example.com",
    "zoe@example.com",
    "zoë@example.com",
)


async def fill(limen: Limen, *addresses: str) -> None:
    accounts, emails = limen.features.accounts, limen.features.emails
    async with limen.features.log.change() as change:
        for address in addresses:
            await accounts.add(change, emails.parse(address), NO_PASSWORD)


async def found(limen: Limen, prefix: str, state: State | None = None) -> list[str]:
    page = await limen.features.account_search.page(prefix=prefix, state=state, limit=100)
    assert page.next is None
    return [account.email_key for account in page.accounts]


async def test_a_prefix_finds_what_a_person_means_by_it(limen: Limen) -> None:
    await fill(limen, *ADDRESSES)
    means = {
        "ada": ["ada.lovelace@example.org", "ada@example.com", "adam@example.com"],
        "ADA@": ["ada@example.com"],
        "  ada@EXAMPLE.c": ["ada@example.com"],
        "ada.": ["ada.lovelace@example.org"],
        "ａｄａ@": ["ada@example.com"],
        "ada@example.com": ["ada@example.com"],
        "ada@example.comx": [],
        "a%": ["a%b@example.com"],
        "a_": ["a_b@example.com"],
        "%": [],
        "_": [],
        "*": [],
        "bob@bücher": ["bob@xn--bcher-kva.de"],
        "BOB@BÜCHER.": ["bob@xn--bcher-kva.de"],
        "bob@xn--bcher-kva.de": ["bob@xn--bcher-kva.de"],
        "STRASSE": ["strasse@example.com"],
        "zoe": ["zoe@example.com"],
        "zoe\u0308": ["zoë@example.com"],
        "nobody": [],
        "@": [],
        "a@b@c": [],
        "\U0010ffff": [],
    }

    assert {prefix: await found(limen, prefix) for prefix in means} == means
    assert len(await found(limen, "")) == len(ADDRESSES)


async def test_pages_follow_each_other_and_miss_nobody(limen: Limen) -> None:
    await fill(limen, *(f"user{number:02}@example.com" for number in range(25)), "z@example.com")
    seen: list[str] = []
    page = AccountPage([], "")
    while page.next is not None:
        page = await limen.features.account_search.page(prefix="user", after=page.next, limit=10)
        seen += [account.email for account in page.accounts]
        if page.next:  # the next page begins behind an account, even when it has gone
            await limen.features.accounts.delete(page.accounts[-1].user_id)

    assert seen == [f"user{number:02}@example.com" for number in range(25)]


async def test_accounts_are_found_by_their_state(limen: Limen) -> None:
    await fill(limen, "active@example.com", "disabled@example.com", "reset@example.com")
    for address, change in (
        ("disabled@example.com", limen.features.accounts.disable),
        ("reset@example.com", limen.features.accounts.require_reset),
    ):
        account = await limen.features.accounts.find(address)
        assert account
        await change(account.user_id)

    assert await found(limen, "", "active") == ["active@example.com"]
    assert await found(limen, "", "disabled") == ["disabled@example.com"]
    assert await found(limen, "r", "reset_required") == ["reset@example.com"]
    assert await found(limen, "a", "disabled") == []


@pytest.mark.parametrize(
    ("query", "index", "conditions"),
    [
        (_query("ada", None, "", 10), "email_key", (">", "<")),
        (_query("ada", "disabled", "ada@example.com", 10), "email_key", (">", "<")),
        (ANY_LEFT, "ix_accounts_administrators", ()),
    ],
    ids=["a prefix", "a later page", "administrators"],
)
async def test_an_index_is_used(
    limen: Limen, query: Select[tuple[ColumnElement[object]]], index: str, conditions: tuple[str]
) -> None:
    await fill(limen, *ADDRESSES)
    async with limen.features.database.write() as connection:
        dialect = connection.dialect
        statement = query.compile(dialect=dialect, compile_kwargs={"literal_binds": True})
        if dialect.name == "postgresql":
            await connection.execute(text("SET LOCAL enable_seqscan = off"))
            explained = await connection.exec_driver_sql(f"EXPLAIN {statement}")
            column = "SELECT collation_name FROM information_schema.columns WHERE table_name = "
            collation = await connection.exec_driver_sql(
                f"{column} 'accounts' AND column_name = 'email_key'"
            )
            assert collation.scalar_one() == "C"
        else:
            explained = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")
        plan = "\n".join(str(row) for row in explained)

    used = (
        "sqlite_autoindex_accounts" if (dialect.name, index) == ("sqlite", "email_key") else index
    )
    assert used in plan, plan
    assert all(condition in plan for condition in conditions), plan
    assert not any(slow in plan for slow in ("Sort", "TEMP B-TREE", "Seq Scan")), plan
