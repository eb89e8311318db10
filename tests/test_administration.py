"""One administrator always stays, whoever removes whom at the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from limen.administration import Administration, is_administrator
from limen.errors import AccountNotFound, InvalidRequest, LastAdministrator, SessionNotFound
from limen.events import AccountChanged, Event
from limen.limen import Limen
from limen.stored_hashes import NO_PASSWORD
from tests.mailbox import sent

pytestmark = pytest.mark.anyio

ROUNDS = 10

Removal = Callable[[Administration, str], Awaitable[Any]]
REMOVALS: dict[str, Removal] = {
    "disable": Administration.disable,
    "require_reset": Administration.require_reset,
    "take the scope": lambda administration, user_id: administration.set_access(
        user_id, scope="orders"
    ),
    "delete": Administration.delete,
}


async def account(limen: Limen, name: str, scope: str = "admin") -> str:
    """Make an account; return its user_id."""
    features = limen.features
    async with features.log.change() as change:
        address = features.emails.parse(f"{name}@example.com")
        made = await features.accounts.add(change, address, NO_PASSWORD, scope=scope)
    return made.user_id


async def administrators(limen: Limen) -> set[str]:
    found = await limen.features.accounts.page()
    return {one.user_id for one in found if is_administrator(one)}


@pytest.mark.parametrize("remove", REMOVALS.values(), ids=REMOVALS)
async def test_the_last_administrator_cannot_be_removed(
    limen: Limen, happened: list[Event], remove: Removal
) -> None:
    root, other = await account(limen, "root"), await account(limen, "other")
    for scope in ("administrator", "ADMIN", "sub-admin admin2", ""):
        await account(limen, f"no{len(scope)}", scope)
    await remove(limen.features.administration, other)
    assert await administrators(limen) == {root}

    await sent(limen)  # who is to choose another password is mailed a code
    happened.clear()
    with pytest.raises(LastAdministrator):
        await remove(limen.features.administration, root)
    assert await administrators(limen) == {root}
    assert happened == []


@pytest.mark.parametrize("remove", REMOVALS.values(), ids=REMOVALS)
async def test_of_two_who_remove_each_other_one_stays(
    limen: Limen, twin: Limen, remove: Removal
) -> None:
    for number in range(ROUNDS):
        root, other = await account(limen, f"a{number}"), await account(limen, f"b{number}")
        for old in await administrators(limen) - {root, other}:
            await limen.features.accounts.delete(old)
        answers = await asyncio.gather(
            remove(limen.features.administration, other),
            remove(twin.features.administration, root),
            return_exceptions=True,
        )
        assert sorted(isinstance(answer, LastAdministrator) for answer in answers) == [False, True]
        assert len(await administrators(limen)) == 1


async def test_who_is_no_administrator_can_always_be_changed(limen: Limen) -> None:
    """Also where there is no administrator at all: then the operator has the only say."""
    user_id = await account(limen, "ada", "")
    administration = limen.features.administration

    assert (await administration.disable(user_id)).disabled_at
    assert (await administration.enable(user_id)).disabled_at is None
    assert (await administration.end_sessions(user_id)).cv == 3
    await administration.delete(user_id)


async def test_the_operator_is_not_bound(limen: Limen) -> None:
    root = await account(limen, "root")
    await limen.features.accounts.set_access(root, scope="")

    assert await administrators(limen) == set()


async def test_what_may_be_done_is_told_to_the_trail(limen: Limen, happened: list[Event]) -> None:
    user_id = await account(limen, "ada", "orders")
    changed = await limen.features.administration.set_access(user_id, roles="editor")

    assert (changed.scope, changed.roles) == ("orders", "editor")
    assert AccountChanged(user_id, "access_changed", roles="editor") in happened


async def test_what_is_not_there_is_told(limen: Limen) -> None:
    administration = limen.features.administration
    for change in (
        *(administration.disable, administration.enable, administration.end_sessions),
        *(administration.require_reset, administration.delete, administration.sessions_of),
    ):
        with pytest.raises(AccountNotFound):
            await change("0" * 32)
    with pytest.raises(SessionNotFound):
        await administration.end_session("0" * 32)
    with pytest.raises(InvalidRequest):
        await administration.set_access("0" * 32)
    with pytest.raises(InvalidRequest):
        await administration.set_access("0" * 32, scope='a"b')
