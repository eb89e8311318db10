"""B11, CVE-2023-22492 (ZITADEL): a disabled user refreshed his tokens and stayed in.

In the process that disables the account, everything ends at once. In another one, refreshing ends
at once too, because it asks the database, and access tokens end within the bound.
"""

import time

import pytest

from limen.limen import Limen
from limen.memory import FOLLOW_SECONDS
from limen.verify.errors import InvalidToken
from tests.crowds import until
from tests.people import Person, calling_from

pytestmark = pytest.mark.anyio

BOUND = 10  # seconds that a verifier may be behind before it answers 503 (limen.verify.revocations)


async def test_everything_ends_at_once(limen: Limen, ada: Person) -> None:
    await limen.features.accounts.disable(ada.user_id)

    assert (await ada.refresh()).status_code == 401
    assert (await ada.me()).status_code == 401


async def test_a_refresh_that_was_answered_before_is_no_way_around(
    limen: Limen, ada: Person
) -> None:
    await ada.refresh()
    await limen.features.accounts.disable(ada.user_id)
    await limen.features.accounts.enable(ada.user_id)

    assert (await ada.refresh()).status_code == 401
    assert (await ada.me()).status_code == 401


async def test_in_another_process_refreshing_ends_at_once_and_access_within_the_bound(
    limen: Limen, twin: Limen, ada: Person
) -> None:
    def is_refused_there() -> bool:
        try:
            twin.verifier.check(ada.tokens["access_token"])
        except InvalidToken:
            return True
        return False

    assert not is_refused_there()
    began = time.monotonic()
    await limen.features.accounts.disable(ada.user_id)

    async with calling_from(twin, "198.51.100.7") as client:
        there = Person(client, ada.email, ada.user_id, tokens=ada.tokens)
        assert (await there.refresh()).status_code == 401
        await until(is_refused_there)
        took = time.monotonic() - began
        assert (await there.me()).status_code == 401

    print(f"refused elsewhere after {took:.2f} s; followed every {FOLLOW_SECONDS} s")
    assert took < BOUND
