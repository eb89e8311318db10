"""A forgotten password: asked for alike for everybody, set once, by whoever has the mail."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx2
import pytest

from limen.clients import Client
from limen.clock import SECOND
from limen.database.schema import audit, audit_pending, sessions
from limen.errors import Busy, DatabaseUnavailable, InvalidCode
from limen.events import AccountChanged, CodeIssued, CodeRefused, Event, SessionEnded
from limen.limen import Limen
from tests.clock import ManualClock
from tests.crowds import full, hashes, occupied, until
from tests.mailbox import Mailed, answered, last_mail, mails
from tests.people import PASSWORD, Person, attempt, calling_from, forgot, guess, reset, somebody
from tests.stored import moved_away, rows, slots_taken
from tests.test_codes import wrong
from tests.test_costs import counted
from tests.test_login import seen

pytestmark = pytest.mark.anyio

NEW = "quite another staple battery"
ELSEWHERE = Client("203.0.113.7")


async def nobody(_limen: Limen, _http: httpx2.AsyncClient) -> str:
    return "nobody@example.com"


async def no_address(_limen: Limen, _http: httpx2.AsyncClient) -> str:
    return "no address at all"


async def ada_herself(limen: Limen, http: httpx2.AsyncClient) -> str:
    return (await somebody(limen, http)).email


async def a_disabled_account(limen: Limen, http: httpx2.AsyncClient) -> str:
    eve = await somebody(limen, http, "eve@example.com")
    await limen.features.accounts.disable(eve.user_id)
    return eve.email


async def a_closed_account(limen: Limen, http: httpx2.AsyncClient) -> str:
    bob = await somebody(limen, http, "bob@example.com")
    await limen.features.accounts.require_reset(bob.user_id)
    await answered(limen)
    return bob.email


async def a_verified_account(limen: Limen, http: httpx2.AsyncClient) -> str:
    grace = await somebody(limen, http, "grace@example.com")
    await limen.features.accounts.change(grace.user_id, "email_verified", verified_at=1)
    return grace.email


WHOSE: dict[str, Callable[[Limen, httpx2.AsyncClient], Awaitable[str]]] = {
    "unknown": nobody,
    "no address": no_address,
    "unverified": ada_herself,
    "verified": a_verified_account,
    "disabled": a_disabled_account,
    "reset required": a_closed_account,
}


async def code_for(limen: Limen, http: httpx2.AsyncClient, email: str) -> Mailed:
    """Ask for a code, and read the mail."""
    assert (await forgot(http, email)).status_code == 202
    return await last_mail(limen, email)


async def test_asking_has_one_answer_and_one_amount_of_work(
    limen: Limen, http: httpx2.AsyncClient, happened: list[Event]
) -> None:
    answers, work = {}, {}
    for number, (case, make) in enumerate(WHOSE.items()):
        email = await make(limen, http)
        happened.clear()
        async with calling_from(limen, f"198.51.100.{number}") as stranger:
            with counted() as cost:
                answers[case] = seen(await forgot(stranger, email))
        work[case] = (cost.statements, cost.commits, hashes(happened))
        await answered(limen)

    assert answers == dict.fromkeys(WHOSE, answers["unknown"])
    assert work == dict.fromkeys(WHOSE, work["unknown"])
    assert answers["unknown"][0] == 202


async def test_a_code_goes_to_whom_has_an_account_that_is_not_disabled(
    limen: Limen, http: httpx2.AsyncClient
) -> None:
    asked = {case: await make(limen, http) for case, make in WHOSE.items()}
    async with calling_from(limen, "198.51.100.7") as stranger:
        for email in asked.values():
            assert (await forgot(stranger, email)).status_code == 202

    sent = [mail.to for mail in await mails(limen) if mail.message == "reset"]
    assert sorted(sent) == sorted(
        asked[case] for case in ("unverified", "verified", "reset required")
    )


async def test_the_mail_goes_to_the_stored_address_whatever_was_typed(
    limen: Limen, http: httpx2.AsyncClient
) -> None:
    await limen.features.accounts.create("Ada@example.com", PASSWORD)
    typed = ["ADA@EXAMPLE.COM", " ａｄａ@example.com ", "ada+1@example.com", "аda@example.com"]
    for email in typed:  # the last one begins with a Cyrillic letter
        await forgot(http, email)

    assert [mail.to for mail in await mails(limen)] == ["Ada@example.com"] * 2


@pytest.mark.parametrize("email", ["ada@example.com", "nobody@example.com"])
async def test_a_mailbox_is_not_filled(limen: Limen, ada: Person, email: str) -> None:
    """Whoever asks, from wherever: five mails in an hour, and so for addresses of nobody."""
    answers = []
    for number in range(7):
        async with calling_from(limen, f"198.51.100.{number}") as stranger:
            answers.append(await forgot(stranger, email))

    assert [answer.status_code for answer in answers] == [202] * 5 + [429] * 2
    assert answers[-1].headers["ratelimit-policy"] == '"mail";q=5;w=3600'
    assert len(await mails(limen, ada.email)) == (5 if email == ada.email else 0)


async def test_one_address_does_not_ask_for_everybody(limen: Limen) -> None:
    async with calling_from(limen, "198.51.100.7") as attacker:
        statuses = [
            (await forgot(attacker, f"user{number}@example.com")).status_code
            for number in range(52)
        ]

    assert statuses == [202] * 50 + [429] * 2


async def test_a_reset_sets_the_password_and_ends_what_there_was(
    limen: Limen,
    ada: Person,
    stranger: httpx2.AsyncClient,
    clock: ManualClock,
    happened: list[Event],
) -> None:
    sid = await ada.sid()
    mail = await code_for(limen, stranger, ada.email)
    happened.clear()
    clock.tick(1)

    assert (await reset(stranger, mail.token, NEW)).status_code == 204

    assert [(await ada.me()).status_code, (await ada.refresh()).status_code] == [401, 401]
    assert (await attempt(stranger, ada.email, PASSWORD)).status_code == 401
    assert (await attempt(stranger, ada.email, NEW)).status_code == 200
    assert happened.count(AccountChanged(ada.user_id, "password_reset")) == 1
    assert happened.count(SessionEnded(sid, "password_reset", ada.user_id)) == 1
    notice = await last_mail(limen, ada.email)
    assert (notice.message, notice.code) == ("password_changed", None)


async def test_a_reset_verifies_the_address_and_keeps_since_when(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient, clock: ManualClock
) -> None:
    accounts, verified = limen.features.accounts, []
    assert (await accounts.get(ada.user_id)).verified_at is None
    for password in (NEW, PASSWORD):
        mail = await code_for(limen, stranger, ada.email)
        assert (await reset(stranger, mail.token, password)).status_code == 204
        verified.append((await accounts.get(ada.user_id)).verified_at)
        clock.tick(60)

    assert verified == [clock.now - 120 * SECOND] * 2


async def test_digits_do_what_the_link_does(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    mail = await code_for(limen, stranger, ada.email)

    assert (await reset(stranger, mail.digits, NEW, "ADA@example.com")).status_code == 204
    assert (await attempt(stranger, ada.email, NEW)).status_code == 200
    assert (await reset(stranger, mail.token, PASSWORD)).status_code == 400


async def test_a_good_code_gives_its_slots_back(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    mail = await code_for(limen, stranger, ada.email)
    await reset(stranger, mail.digits, NEW, ada.email)

    taken = await slots_taken(limen)
    assert (taken["code"], taken["code-address"]) == (0, 0)


async def test_digits_alone_name_nobody(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    mail = await code_for(limen, stranger, ada.email)
    refused = await reset(stranger, mail.digits, NEW)

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    assert (await reset(stranger, mail.digits, NEW, ada.email)).status_code == 204


@pytest.mark.parametrize("form", ["token", "digits"])
async def test_a_code_of_another_account_is_worth_nothing(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient, form: str
) -> None:
    eve = await limen.features.accounts.create("eve@example.com", PASSWORD)
    await code_for(limen, stranger, ada.email)
    mail = await code_for(limen, stranger, eve.email)

    assert (await reset(stranger, getattr(mail, form), NEW, ada.email)).status_code == 400
    assert (await attempt(stranger, ada.email, PASSWORD)).status_code == 200
    assert (await reset(stranger, mail.token, NEW, eve.email)).status_code == 204


async def test_wrong_codes_have_one_answer_and_one_amount_of_work(
    limen: Limen, http: httpx2.AsyncClient, happened: list[Event]
) -> None:
    """For an account with a code, for one without, and for none."""
    ada = await somebody(limen, http)
    await somebody(limen, http, "eve@example.com")
    mail = await code_for(limen, http, ada.email)
    answers, work = [], []
    for number, email in enumerate((ada.email, "eve@example.com", "nobody@example.com")):
        happened.clear()
        async with calling_from(limen, f"198.51.100.{number}") as stranger:
            with counted() as cost:
                answers.append(seen(await reset(stranger, wrong(mail.digits), NEW, email)))
        work.append((cost.statements, cost.commits, hashes(happened)))
        assert sum(isinstance(event, CodeRefused) for event in happened) == 1

    assert answers == [answers[0]] * 3
    assert work == [work[0]] * 3
    assert work[0][-1] == 1


@pytest.mark.parametrize("email", ["ada@example.com", "nobody@example.com"])
async def test_five_wrong_digits_are_all_for_any_address(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient, clock: ManualClock, email: str
) -> None:
    mail = await code_for(limen, stranger, ada.email)
    answers = [await reset(stranger, wrong(mail.digits), NEW, email) for _ in range(7)]

    assert [answer.status_code for answer in answers] == [400] * 5 + [429] * 2
    assert answers[-1].headers["ratelimit-policy"] == '"code";q=5;w=900'
    clock.tick(900)
    # The digits of an account that was guessed at are dead by then; its link is not.
    expected = 400 if email == ada.email else 204
    assert (await reset(stranger, mail.digits, NEW, ada.email)).status_code == expected
    assert (await reset(stranger, mail.token, NEW)).status_code == 604 - expected


async def test_a_stranger_who_tries_digits_does_not_keep_the_link_from_its_owner(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    mail = await code_for(limen, stranger, ada.email)
    async with calling_from(limen, "198.51.100.8") as attacker:
        for _ in range(6):
            await reset(attacker, wrong(mail.digits), NEW, ada.email)

    assert (await reset(stranger, mail.token, NEW)).status_code == 204


REFUSED = {"short": "too_short", "password123": "common", "ada@example.com": "context"}


@pytest.mark.parametrize("form", ["token", "digits"])
async def test_a_password_that_is_not_acceptable_does_not_use_the_code_up(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient, form: str
) -> None:
    mail = await code_for(limen, stranger, ada.email)
    email = ada.email if form == "digits" else None
    for password, reason in REFUSED.items():
        refused = await reset(stranger, getattr(mail, form), password, email)
        assert (refused.status_code, refused.json()["reason"]) == (422, reason)

    assert (await ada.me()).status_code == 200
    assert (await reset(stranger, getattr(mail, form), NEW, email)).status_code == 204


async def test_a_code_is_good_for_an_hour(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient, clock: ManualClock
) -> None:
    mail = await code_for(limen, stranger, ada.email)
    clock.tick(3600)

    assert (await reset(stranger, mail.token, NEW)).json()["code"] == "invalid_code"
    assert (await ada.sign_in()).status_code == 200


@pytest.mark.parametrize(("uses", "processes"), [(50, 1), (10, 2)], ids=["one process", "two"])
async def test_any_number_of_uses_at_once_are_one(
    limen: Limen, twin: Limen, ada: Person, uses: int, processes: int
) -> None:
    """Each from an address of its own, with a password of its own."""
    mail = await code_for(limen, ada.http, ada.email)

    async def use(number: int) -> str | None:
        password, one = f"staple battery number {number}", (limen, twin)[number % processes]
        address = Client(f"198.51.100.{number}")
        try:
            await one.features.password_reset.reset(mail.token, password, address)
        except InvalidCode:
            return None
        return password

    passwords = await asyncio.gather(*(use(number) for number in range(uses)))

    (chosen,) = filter(None, passwords)
    assert (await attempt(ada.http, ada.email, chosen)).status_code == 200


async def test_an_account_that_is_disabled_while_the_password_is_hashed_stays_as_it_is(
    limen: Limen, twin: Limen, ada: Person
) -> None:
    accounts, room = limen.features.accounts, limen.features.room
    mail = await code_for(limen, ada.http, ada.email)
    async with occupied(room):
        using = asyncio.create_task(reset(ada.http, mail.token, NEW))
        await until(lambda: room.waiting == 1)
        await twin.features.accounts.disable(ada.user_id)
    disabled = await accounts.get(ada.user_id)

    assert (await using).status_code == 400
    assert await accounts.get(ada.user_id) == disabled


async def test_without_room_or_database_nothing_is_used_up(limen: Limen, ada: Person) -> None:
    mail, resetting = await code_for(limen, ada.http, ada.email), limen.features.password_reset
    async with full(limen.features.room):
        with pytest.raises(Busy):
            await resetting.reset(mail.token, NEW, ELSEWHERE)
    with moved_away(limen), pytest.raises(DatabaseUnavailable):
        await resetting.reset(mail.token, NEW, ELSEWHERE)

    assert (await ada.me()).status_code == 200
    await resetting.reset(mail.token, NEW, ELSEWHERE)


async def test_a_reset_forgets_failures_and_opens_what_only_a_reset_opens(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    await guess(stranger, ada.email)
    await limen.features.accounts.require_reset(ada.user_id)
    assert (await ada.sign_in()).status_code == 401
    mail = await last_mail(limen, ada.email)
    assert mail.message == "reset_required"

    assert (await reset(stranger, mail.token, NEW)).status_code == 204
    after = await limen.features.accounts.get(ada.user_id)
    assert (after.failures, after.reset_required_at) == (0, None)
    ada.password = NEW
    assert (await ada.sign_in()).status_code == 200


async def test_requiring_a_reset_ends_what_there_is_at_once(
    limen: Limen, ada: Person, happened: list[Event]
) -> None:
    happened.clear()
    await limen.features.accounts.require_reset(ada.user_id)
    await answered(limen)

    assert [(await ada.me()).status_code, (await ada.refresh()).status_code] == [401, 401]
    assert happened.count(AccountChanged(ada.user_id, "reset_required")) == 1
    assert happened.count(CodeIssued(ada.user_id, "reset")) == 1


async def test_a_code_that_was_mailed_before_a_reset_was_required_is_dead(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    mail = await code_for(limen, stranger, ada.email)
    await limen.features.accounts.require_reset(ada.user_id)

    assert (await reset(stranger, mail.token, NEW)).status_code == 400


async def test_the_trail_says_where_a_code_was_asked_for(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    await code_for(limen, stranger, ada.email)

    (entry,) = [
        row
        for table in (audit, audit_pending)
        for row in await rows(limen, table)
        if row.kind == "code.issued"
    ]
    assert (entry.user_id, entry.outcome, entry.actor) == (ada.user_id, "reset", "anonymous")
    assert "198.51.100.7" in entry.personal


async def test_a_reset_starts_no_session(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    before = len(await rows(limen, sessions))
    mail = await code_for(limen, stranger, ada.email)
    answer = await reset(stranger, mail.token, NEW)

    assert answer.content == b""
    assert len(await rows(limen, sessions)) == before


async def test_whoever_reset_signs_in_while_somebody_goes_on_guessing(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    async with calling_from(limen, "203.0.113.66") as attacker:
        guesses = [(await guess(attacker, ada.email)).status_code for _ in range(6)]
        mail = await code_for(limen, stranger, ada.email)
        assert (await reset(stranger, mail.token, NEW)).status_code == 204

        assert guesses == [*[401] * 5, 429]
        assert (await attempt(attacker, ada.email, NEW)).status_code == 429
        assert (await attempt(stranger, ada.email, NEW)).status_code == 200
