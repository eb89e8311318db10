"""What can be done with accounts, and what it does to those who are signed in to them."""

import asyncio

import httpx2
import pytest

from limen.database.schema import accounts as table
from limen.errors import AccountNotFound, Busy, EmailTaken, InvalidRequest, PasswordRefused
from limen.events import AccountChanged, Event, Registered
from limen.limen import Limen
from tests.crowds import full
from tests.people import PASSWORD, Person, attempt
from tests.stored import moved_away, rows

pytestmark = pytest.mark.anyio

ADA = "Ada@Example.com"
SPELLINGS = [
    ADA,
    "ada@example.com",
    " ADA@EXAMPLE.COM ",
    "ａｄａ@example.com",
    "ada@ｅｘａｍｐｌｅ.com",
]
BCRYPT = "$2b$12$a8mknrV5S5QimstmRLb82uc.bQg5FXc9yQ05RL0pg28dWmhfQ6m9."
NEW_PASSWORD = "quite another password"


async def test_an_account_is_found_by_every_spelling_of_its_address(limen: Limen) -> None:
    created = await limen.features.accounts.create(ADA, PASSWORD, scope="admin")

    for spelling in SPELLINGS:
        assert await limen.features.accounts.find(spelling) == created
    assert created.email == "Ada@example.com"
    assert created.scope == "admin"


@pytest.mark.parametrize("other", ["ada+1@example.com", "a.da@example.com", "nobody", ""])
async def test_another_address_finds_nothing(limen: Limen, other: str) -> None:
    await limen.features.accounts.create(ADA, PASSWORD)

    assert await limen.features.accounts.find(other) is None


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_an_address_has_one_account(
    limen: Limen, happened: list[Event], spelling: str
) -> None:
    created = await limen.features.accounts.create(ADA, PASSWORD)

    with pytest.raises(EmailTaken):
        await limen.features.accounts.create(spelling, NEW_PASSWORD)

    assert await limen.features.accounts.find(ADA) == created
    assert [event for event in happened if isinstance(event, Registered)] == [
        Registered(created.user_id)
    ]


async def test_simultaneous_creations_of_one_address_make_one_account(
    limen: Limen, twin: Limen
) -> None:
    """Two processes, ten attempts each, in five spellings."""
    outcomes = await asyncio.gather(
        *(
            one.features.accounts.create(text, PASSWORD)
            for one in (limen, twin) * 2
            for text in SPELLINGS
        ),
        return_exceptions=True,
    )

    assert sum(isinstance(outcome, EmailTaken) for outcome in outcomes) == 19
    assert len(await rows(limen, table)) == 1


async def test_a_user_id_tells_nothing_and_a_new_account_has_a_new_one(limen: Limen) -> None:
    made = [
        await limen.features.accounts.create(f"u{number}@example.com", PASSWORD)
        for number in range(20)
    ]

    assert len({account.user_id for account in made}) == 20
    assert all(len(bytes.fromhex(account.user_id)) == 16 for account in made)


REFUSED = {
    "no address": ("nobody", PASSWORD, InvalidRequest),
    "two addresses": ("ada@example.com,bob@example.com", PASSWORD, InvalidRequest),
    "header injection": ("ada@example.com\r\nBcc: eve@example.com", PASSWORD, InvalidRequest),
    "too short": (ADA, "short", PasswordRefused),
    "too long": (ADA, "x" * 257, PasswordRefused),
    "common": (ADA, "password123", PasswordRefused),
    "the address": (ADA, "ada@example.com", PasswordRefused),
    "NUL": (ADA, "correct horse\0battery", InvalidRequest),
    "lone surrogate": (ADA, "correct horse\ud800battery", InvalidRequest),
}


@pytest.mark.parametrize(("email", "password", "error"), REFUSED.values(), ids=REFUSED)
async def test_what_is_not_acceptable_creates_nothing(
    limen: Limen, happened: list[Event], email: str, password: str, error: type[InvalidRequest]
) -> None:
    happened.clear()
    with pytest.raises(error) as refused:
        await limen.features.accounts.create(email, password)

    assert await rows(limen, table) == []
    assert happened == []  # above all, nothing was hashed
    assert password not in str(refused.value)


async def test_without_room_or_database_nothing_is_created(limen: Limen) -> None:
    async with full(limen.features.room):
        with pytest.raises(Busy):
            await limen.features.accounts.create(ADA, PASSWORD)

    assert await rows(limen, table) == []


async def test_a_hash_made_elsewhere_lets_its_owner_in(
    limen: Limen, http: httpx2.AsyncClient
) -> None:
    await limen.features.accounts.create_with_hash(ADA, BCRYPT)

    assert (await attempt(http, ADA, NEW_PASSWORD)).status_code == 401
    assert (await attempt(http, ADA)).status_code == 200


@pytest.mark.parametrize(
    "stored",
    ["", PASSWORD, "$2b$10$" + BCRYPT[7:], "$argon2id$v=19$m=4194304,t=1,p=1$AAAA$AAAA"],
    ids=["empty", "no hash", "too cheap", "too expensive"],
)
async def test_a_hash_that_cannot_be_checked_is_refused(limen: Limen, stored: str) -> None:
    with pytest.raises(InvalidRequest):
        await limen.features.accounts.create_with_hash(ADA, stored)

    assert await rows(limen, table) == []


async def test_a_page_begins_behind_the_last_one(limen: Limen) -> None:
    made = [
        (await limen.features.accounts.create(f"u{number}@example.com", PASSWORD)).user_id
        for number in range(7)
    ]
    seen: list[str] = []
    while page := await limen.features.accounts.page(after=seen[-1] if seen else "", limit=3):
        assert len(page) <= 3
        seen += [account.user_id for account in page]

    assert seen == sorted(made)


@pytest.mark.parametrize("spoilt", ["disable", "enable", "set_password", "end_sessions", "get"])
async def test_there_is_nothing_to_be_done_with_an_unknown_account(
    limen: Limen, happened: list[Event], spoilt: str
) -> None:
    happened.clear()
    arguments = ["0" * 32, NEW_PASSWORD] if spoilt == "set_password" else ["0" * 32]
    with pytest.raises(AccountNotFound):
        await getattr(limen.features.accounts, spoilt)(*arguments)

    assert happened == []


async def everything_is_refused(ada: Person) -> bool:
    return [(await ada.me()).status_code, (await ada.refresh()).status_code] == [401, 401]


async def test_a_disabled_account_is_out_at_once_and_cannot_come_back(
    limen: Limen, ada: Person, happened: list[Event]
) -> None:
    await limen.features.accounts.disable(ada.user_id)

    assert await everything_is_refused(ada)
    assert (await ada.sign_in()).status_code == 401
    assert happened.count(AccountChanged(ada.user_id, "disabled")) == 1


async def test_enabling_lets_an_account_in_again_and_brings_nothing_back(
    limen: Limen, ada: Person
) -> None:
    await limen.features.accounts.disable(ada.user_id)
    await limen.features.accounts.disable(ada.user_id)
    await limen.features.accounts.enable(ada.user_id)

    assert await everything_is_refused(ada)
    assert (await ada.sign_in()).status_code == 200
    assert (await ada.me()).status_code == 200


async def test_another_password_voids_everything_that_the_old_one_gave(
    limen: Limen, ada: Person, happened: list[Event]
) -> None:
    await limen.features.accounts.set_password(ada.user_id, NEW_PASSWORD)

    assert await everything_is_refused(ada)
    assert (await ada.sign_in()).status_code == 401
    ada.password = NEW_PASSWORD
    assert (await ada.sign_in()).status_code == 200
    assert happened.count(AccountChanged(ada.user_id, "password_changed")) == 1


@pytest.mark.parametrize("refused", ["short", "password123", "x" * 257])
async def test_a_password_that_is_not_acceptable_changes_nothing(
    limen: Limen, ada: Person, refused: str
) -> None:
    with pytest.raises(PasswordRefused):
        await limen.features.accounts.set_password(ada.user_id, refused)

    assert (await ada.me()).status_code == 200
    assert (await ada.sign_in()).status_code == 200


async def test_ending_the_sessions_leaves_the_account(
    limen: Limen, ada: Person, happened: list[Event]
) -> None:
    await limen.features.accounts.end_sessions(ada.user_id)

    assert await everything_is_refused(ada)
    assert (await ada.sign_in()).status_code == 200
    assert (await ada.me()).status_code == 200
    assert happened.count(AccountChanged(ada.user_id, "sessions_ended")) == 1


async def test_what_happens_to_one_account_does_not_touch_another(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    bob = await limen.features.accounts.create("bob@example.com", PASSWORD)
    await limen.features.accounts.disable(bob.user_id)

    assert (await ada.me()).status_code == 200
    assert (await attempt(stranger, ada.email)).status_code == 200


async def test_a_change_that_cannot_be_written_changes_nothing(limen: Limen, ada: Person) -> None:
    with moved_away(limen), pytest.raises(Exception, match="cannot be reached"):
        await limen.features.accounts.disable(ada.user_id)

    assert (await ada.me()).status_code == 200
    assert (await ada.refresh()).status_code == 200


async def test_an_account_does_not_show_its_secrets(limen: Limen) -> None:
    account = await limen.features.accounts.create(ADA, PASSWORD)

    assert "xample" not in repr(account)
    assert "$argon2" not in repr(account)
