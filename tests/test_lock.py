"""A hundred wrong passwords in a row lock an account for strangers, and no owner out."""

import asyncio

import httpx2
import pytest

from limen.database.schema import sessions
from limen.events import AccountChanged, Event
from limen.limen import Limen
from limen.lock import KNOWN_DEVICES, STRANGERS
from tests.clock import ManualClock
from tests.crowds import occupied, until
from tests.mailbox import last_mail, mails
from tests.people import (
    PASSWORD,
    Person,
    attempt,
    calling_from,
    guess,
    has_failed,
    reset,
)
from tests.stored import rows, slots_taken
from tests.test_costs import counted
from tests.test_login import seen

pytestmark = pytest.mark.anyio

NEW = "quite another staple battery"


async def failures(limen: Limen, ada: Person) -> int:
    return (await limen.features.accounts.get(ada.user_id)).failures


def test_the_numbers_are_those_that_nist_and_the_documentation_name() -> None:
    assert (STRANGERS, KNOWN_DEVICES) == (100, 200)


async def test_the_hundredth_failure_locks_for_strangers_and_tells_the_owner_once(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient, happened: list[Event]
) -> None:
    await has_failed(limen, ada.user_id, 98)
    wrong = [seen(await guess(stranger, ada.email)) for _ in range(3)]
    right = seen(await attempt(stranger, ada.email, PASSWORD))

    assert [*wrong, right] == [wrong[0]] * 4
    assert await failures(limen, ada) == 100
    assert happened.count(AccountChanged(ada.user_id, "locked")) == 1
    (mail,) = await mails(limen, ada.email)
    assert (mail.message, mail.user_id) == ("locked", ada.user_id)


async def test_ninety_nine_failures_lock_nobody_out(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    await has_failed(limen, ada.user_id, 98)
    await guess(stranger, ada.email)

    assert (await attempt(stranger, ada.email, PASSWORD)).status_code == 200
    assert await failures(limen, ada) == 0
    assert await mails(limen) == []


async def test_a_locked_account_opens_on_its_known_devices_and_then_for_everybody(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    await has_failed(limen, ada.user_id, 100)
    assert (await attempt(stranger, ada.email, PASSWORD)).status_code == 401

    assert (await ada.sign_in()).status_code == 200
    assert await failures(limen, ada) == 0
    assert (await attempt(stranger, ada.email, PASSWORD)).status_code == 200


async def test_known_devices_have_a_second_hundred(
    limen: Limen, ada: Person, happened: list[Event]
) -> None:
    await has_failed(limen, ada.user_id, 199)
    happened.clear()
    await guess(ada.http, ada.email)

    assert await failures(limen, ada) == 200
    assert (await ada.sign_in()).status_code == 401
    assert await failures(limen, ada) == 200
    assert AccountChanged(ada.user_id, "locked") not in happened


async def test_a_session_goes_on_while_its_account_is_locked(limen: Limen, ada: Person) -> None:
    await has_failed(limen, ada.user_id, 200)

    assert (await ada.me()).status_code == 200
    assert (await ada.refresh()).status_code == 200


async def test_the_code_in_the_mail_opens_a_locked_account(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    await has_failed(limen, ada.user_id, 99)
    await guess(stranger, ada.email)
    mail = await last_mail(limen, ada.email)

    assert (await reset(stranger, mail.token, NEW)).status_code == 204
    assert (await attempt(stranger, ada.email, NEW)).status_code == 200
    assert await failures(limen, ada) == 0


async def test_many_failures_at_the_edge_stop_at_a_hundred_and_mail_once(
    limen: Limen, twin: Limen, ada: Person, happened: list[Event]
) -> None:
    await has_failed(limen, ada.user_id, 98)
    async with calling_from(limen, "198.51.100.7") as one, calling_from(twin, "2.3.4.5") as other:
        answers = await asyncio.gather(*(guess(http, ada.email) for http in [one, other] * 3))

    assert {answer.status_code for answer in answers} <= {401, 429}
    assert await failures(limen, ada) == 100
    assert happened.count(AccountChanged(ada.user_id, "locked")) == 1
    assert [mail.message for mail in await mails(limen)] == ["locked"]


async def test_a_right_password_that_is_checked_while_the_lock_closes_opens_nothing(
    limen: Limen, twin: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    """Otherwise whoever guesses at many places at once had more than a hundred guesses."""
    await has_failed(limen, ada.user_id, 99)
    before, room = len(await rows(limen, sessions)), limen.features.room
    async with occupied(room):
        signing_in = asyncio.create_task(attempt(stranger, ada.email, PASSWORD))
        await until(lambda: room.waiting == 1)
        await has_failed(twin, ada.user_id, 100)

    assert (await signing_in).status_code == 401
    assert await failures(limen, ada) == 100
    assert len(await rows(limen, sessions)) == before
    assert (await slots_taken(limen))["login"] == 1


async def test_a_success_writes_to_the_account_only_where_there_were_failures(
    limen: Limen, ada: Person
) -> None:
    written = []
    for times in (0, 7):
        await has_failed(limen, ada.user_id, times)
        with counted() as cost:
            assert (await ada.sign_in()).status_code == 200
        written.append(sum("UPDATE accounts" in statement for statement in cost.statements))

    assert written == [0, 1]


@pytest.mark.parametrize("closed", ["disabled", "reset required"])
async def test_what_no_password_opens_counts_no_failures(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient, closed: str
) -> None:
    accounts = limen.features.accounts
    close = accounts.disable if closed == "disabled" else accounts.require_reset
    await close(ada.user_id)
    await limen.features.accounts.change(ada.user_id, "email_verified", failures=99)
    await guess(stranger, ada.email)

    assert await failures(limen, ada) == 99
    assert "locked" not in [mail.message for mail in await mails(limen)]


async def test_an_account_is_not_locked_by_failures_at_another(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    await limen.features.accounts.create("bob@example.com", PASSWORD)
    for email in ("bob@example.com", "nobody@example.com"):
        await guess(stranger, email)

    assert await failures(limen, ada) == 0


DAYS = 2


async def test_whoever_hammers_an_account_for_days_never_locks_out_its_known_devices(
    limen: Limen, ada: Person, clock: ManualClock
) -> None:
    """Her browser has a cookie, and her program sends a header; both sign in morning and evening.

    The attacker calls from a new address each time and takes every slot there is, so that five
    minutes before each of them comes, nobody else could sign in.
    """
    async with calling_from(limen, "203.0.113.5") as http:
        program = Person(http, ada.email, ada.user_id)
        device = {"Limen-Device": (await program.sign_in()).headers["limen-device"]}
    guesses = 0
    for hour in range(0, DAYS * 24, 12):
        for quarter in range(21):  # of an hour; for most of the other six hours he sleeps
            async with calling_from(limen, f"198.51.{hour}.{quarter}") as attacker:
                answers = [(await guess(attacker, ada.email)).status_code for _ in range(6)]
            assert answers == [401] * 5 + [429]
            guesses += 5
            clock.tick(15 * 60)
        clock.tick((24 - 21) * 15 * 60 + 6 * 3600 - 15 * 60)
        async with calling_from(limen, f"198.51.{hour}.99") as attacker:
            guesses += [(await guess(attacker, ada.email)).status_code for _ in range(6)].count(401)
        clock.tick(5 * 60)

        async with calling_from(limen, "192.0.2.77") as new:
            assert (await attempt(new, ada.email, PASSWORD)).status_code in {401, 429}
        assert (await ada.sign_in()).status_code == 200
        async with calling_from(limen, "203.0.113.5") as http:
            assert (await attempt(http, ada.email, PASSWORD, **device)).status_code == 200
        clock.tick(10 * 60)

    sent = [mail.message for mail in await mails(limen)]
    print(f"{guesses} wrong guesses in {DAYS} days, {len(sent)} mails, nobody locked out")
    assert guesses > 3 * STRANGERS
    assert sent == ["locked"] * (DAYS * 2)
