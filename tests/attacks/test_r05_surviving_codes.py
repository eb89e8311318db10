"""R5: a code that was mailed earlier went on working after the password or the address had changed.

Every code is bound to the credential version of its account, which everything raises that takes
away what was handed out before. Signing in does not: else whoever knows the password could keep its
owner from ever resetting it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import httpx2
import pytest

from limen.clients import Client
from limen.events import Purpose
from limen.limen import Limen
from tests.clock import ManualClock
from tests.mailbox import last_mail
from tests.people import AUTH, PASSWORD, Person, forgot, reset
from tests.test_codes import by_token, issued

pytestmark = pytest.mark.anyio

NEW = "quite another staple battery"
PURPOSES: list[Purpose] = ["verify", "reset", "email_change", "invite"]

# Given Ada, who is signed in on a known device: what makes her codes worthless.
Event = Callable[[Limen, Person], Awaitable[object]]


async def a_reset(limen: Limen, ada: Person) -> None:
    account = await limen.features.accounts.get(ada.user_id)
    code = await issued(limen, account, "reset")
    await limen.features.password_reset.reset(code.token, NEW, Client("198.51.100.7"))


async def another_address(limen: Limen, ada: Person) -> None:
    account = await limen.features.accounts.get(ada.user_id)
    new = limen.features.emails.parse("countess@example.com")
    await issued(limen, replace(account, email=new.shown, email_key=new.key), "email_change")
    values = {"email": new.shown, "email_key": new.key}
    await limen.features.accounts.change(ada.user_id, "email_changed", **values)


async def end_all_others(_limen: Limen, ada: Person) -> None:
    await ada.http.delete(f"{AUTH}/sessions", headers=ada.bearer())


EVENTS: dict[str, Event] = {
    "another password": lambda _, ada: ada.change_password(NEW),
    "a reset": a_reset,
    "another password from the operator": lambda limen, ada: limen.features.accounts.set_password(
        ada.user_id, NEW
    ),
    "another address": another_address,
    "a reset was required": lambda limen, ada: limen.features.accounts.require_reset(ada.user_id),
    "disabled": lambda limen, ada: limen.features.accounts.disable(ada.user_id),
    "all sessions were ended": lambda limen, ada: limen.features.accounts.end_sessions(ada.user_id),
    "all other sessions were ended": end_all_others,
    "deleted": lambda _, ada: ada.delete_me(),
}


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
async def test_no_code_survives(limen: Limen, ada: Person, event: Event) -> None:
    account = await limen.features.accounts.get(ada.user_id)
    sent = {purpose: await issued(limen, account, purpose) for purpose in PURPOSES}
    await event(limen, ada)

    for purpose, code in sent.items():
        assert await by_token(limen, code.token, purpose) is None, purpose


async def test_codes_of_a_disabled_account_stay_dead_when_it_is_enabled(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    await forgot(stranger, ada.email)
    mail = await last_mail(limen, ada.email)
    await limen.features.accounts.disable(ada.user_id)
    await limen.features.accounts.enable(ada.user_id)

    assert (await reset(stranger, mail.token, NEW)).status_code == 400
    assert (await reset(stranger, mail.digits, NEW, ada.email)).status_code == 400


async def test_a_newer_code_kills_the_older(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient, clock: ManualClock
) -> None:
    sent = []
    for _ in range(3):
        await forgot(stranger, ada.email)
        sent.append(await last_mail(limen, ada.email))
        clock.tick(60)

    *older, newest = sent
    for mail in older:
        assert (await reset(stranger, mail.token, NEW)).status_code == 400
        assert (await reset(stranger, mail.digits, NEW, ada.email)).status_code == 400
    assert (await reset(stranger, newest.token, NEW)).status_code == 204


async def test_a_code_for_one_thing_leaves_those_for_others(limen: Limen, ada: Person) -> None:
    account = await limen.features.accounts.get(ada.user_id)
    verify = await issued(limen, account, "verify")
    await issued(limen, account, "reset")

    assert await by_token(limen, verify.token, "verify") is not None


async def test_a_thief_who_signs_in_does_not_keep_the_owner_from_resetting(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    await forgot(ada.http, ada.email)
    mail = await last_mail(limen, ada.email)
    thief = Person(stranger, ada.email, ada.user_id)
    for _ in range(3):
        assert (await thief.sign_in()).status_code == 200

    assert (await reset(ada.http, mail.token, NEW)).status_code == 204
    assert (await thief.refresh()).status_code == 401


async def test_a_code_of_a_deleted_account_is_not_one_of_the_next_with_its_address(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    await forgot(stranger, ada.email)
    mail = await last_mail(limen, ada.email)
    await ada.delete_me()
    await limen.features.accounts.create(ada.email, PASSWORD)

    assert (await reset(stranger, mail.token, NEW)).status_code == 400
    assert (await reset(stranger, mail.digits, NEW, ada.email)).status_code == 400
