"""E2, Keycloak #51887: an empty password was answered at once where there was an account.

Whatever stands in the place of a password costs what a password costs, and counts like one.
"""

import httpx2
import pytest

from limen.events import Event, SignIn
from limen.limen import Limen
from tests.clock import ManualClock
from tests.crowds import hashes
from tests.people import PASSWORD, Person, attempt, calling_from, forgot
from tests.test_costs import counted
from tests.test_login import seen

pytestmark = pytest.mark.anyio

ADDRESSES = ["ada@example.com", "nobody@example.com", "eve@example.com"]  # she is disabled
EMPTY = {
    "empty": "",
    "a space": " ",
    "spaces": " " * 8,
    "one character": "x",
    "a tab": "\t",
    "256 spaces": " " * 256,
    "nothing visible": "\u200b\u200d",
    "256 characters": "x" * 256,
}


@pytest.fixture
async def people(limen: Limen) -> None:
    for email in ("ada@example.com", "eve@example.com"):
        account = await limen.features.accounts.create(email, PASSWORD)
    await limen.features.accounts.disable(account.user_id)


@pytest.mark.usefixtures("people")
async def test_it_costs_a_hash_and_a_slot_whoever_is_meant(
    limen: Limen, happened: list[Event], clock: ManualClock
) -> None:
    answers, work = {}, {}
    for case, password in EMPTY.items():
        for number, email in enumerate(ADDRESSES):
            happened.clear()
            async with calling_from(limen, f"198.51.100.{number}") as stranger:
                with counted() as cost:
                    answers[case, email] = seen(await attempt(stranger, email, password))
            refused = [event.outcome for event in happened if isinstance(event, SignIn)]
            work[case, email] = (hashes(happened), refused, cost.statements, cost.commits)
        clock.tick(900)

    first = ("empty", "ada@example.com")
    assert answers == dict.fromkeys(answers, answers[first])
    assert work == dict.fromkeys(work, work[first])
    assert work[first][:2] == (1, ["invalid_credentials"])


@pytest.mark.usefixtures("people")
async def test_what_can_be_no_password_is_refused_before_anybody_is_looked_for(
    limen: Limen, happened: list[Event]
) -> None:
    for password in ("x" * 257, "a\0b", "x" * 10_000):
        answers = []
        for email in ADDRESSES:
            happened.clear()
            async with calling_from(limen, "198.51.100.7") as stranger:
                with counted() as cost:
                    answers.append(seen(await attempt(stranger, email, password)))
            assert (hashes(happened), cost.statements) == (0, [])
        assert answers == [answers[0]] * 3
        assert answers[0][0] == 422


@pytest.mark.parametrize("password", ["", " ", "x"])
async def test_it_is_no_current_password_either(
    ada: Person, happened: list[Event], password: str
) -> None:
    for ask in (ada.change_password("quite another battery", password), ada.delete_me(password)):
        happened.clear()
        assert (await ask).status_code == 403
        assert hashes(happened) == 1


@pytest.mark.usefixtures("people")
async def test_an_empty_address_is_an_address_of_nobody(
    limen: Limen, http: httpx2.AsyncClient
) -> None:
    assert (await forgot(http, "")).status_code == 202
    assert (await attempt(http, "", "")).status_code == 401
    await limen.features.outbox.work("request")
