"""What strangers ask for: written down alike for everybody, and answered afterwards."""

from collections.abc import Mapping
from typing import Any

import pytest

from limen import origin
from limen.errors import DatabaseUnavailable, TooManyAttempts
from limen.limen import Limen
from limen.mail_requests import MailRequests
from limen.origin import Origin, coming_from
from limen.outbox import NotDelivered
from tests.clock import ManualClock
from tests.mailbox import answered, written
from tests.stored import moved_away, slots_taken

pytestmark = pytest.mark.anyio

HERE = "203.0.113.7"
Asked = tuple[Mapping[str, Any], Origin]


@pytest.fixture
def requests(limen: Limen) -> MailRequests:
    return limen.features.mail_requests


@pytest.fixture
def answers(requests: MailRequests) -> list[Asked]:
    """Answer requests about bread, and keep what was asked."""
    kept: list[Asked] = []

    async def answer(asked: Mapping[str, Any]) -> str:
        kept.append((asked, origin.present()))
        return "done"

    requests.answered_by("bread", answer)
    return kept


async def ask(requests: MailRequests, email_key: str = "ada@example.com") -> None:
    await requests.ask("bread", {"loaves": 2}, email_key=email_key, address=HERE)


async def test_a_request_is_answered_once_as_if_it_came_from_where_it_was_asked(
    limen: Limen, requests: MailRequests, answers: list[Asked]
) -> None:
    where = Origin("anonymous", address=HERE, agent="Firefox")
    with coming_from(where):
        await ask(requests)
    await answered(limen)
    await answered(limen)

    assert answers == [({"loaves": 2}, where)]
    (row,) = await written(limen, "request")
    assert (row.outcome, row.answer, row.sealed) == ("delivered", "done", None)


async def test_what_fails_is_tried_again(
    limen: Limen, requests: MailRequests, clock: ManualClock
) -> None:
    tries = []

    async def fail_once(asked: Mapping[str, Any]) -> str:
        tries.append(asked)
        if len(tries) == 1:
            raise NotDelivered("not just now")
        return "done"

    requests.answered_by("bread", fail_once)
    await ask(requests)
    await answered(limen)
    assert len(tries) == 1
    clock.tick(5)
    await answered(limen)
    assert len(tries) == 2


async def test_the_slots_of_a_mailbox_and_of_an_address_are_kept(
    limen: Limen, requests: MailRequests, clock: ManualClock
) -> None:
    for _ in range(5):
        await ask(requests)

    with pytest.raises(TooManyAttempts) as refused:
        await ask(requests)
    assert (refused.value.policy, refused.value.retry_after) == ("mail", 3600)
    taken = await slots_taken(limen)
    assert (taken["mail"], taken["mail-address"]) == (5, 5)
    clock.tick(3600)
    await ask(requests)


async def test_what_cannot_be_written_down_is_told(limen: Limen, requests: MailRequests) -> None:
    with moved_away(limen), pytest.raises(DatabaseUnavailable):
        await ask(requests)
