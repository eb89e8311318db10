"""S5, Keycloak #52666: what was used was noted on an object that was thrown away.

Here it is noted in the session's row, which every worker reads with the write itself.
"""

import pytest

from limen.limen import Limen
from limen.settings import Settings
from tests.clock import ManualClock
from tests.people import Person, calling_from
from tests.running import running

pytestmark = pytest.mark.anyio


async def test_a_token_used_at_one_worker_is_used_at_the_other(
    ada: Person, settings: Settings, clock: ManualClock
) -> None:
    async with running(settings, clock) as other, calling_from(other, "127.0.0.1") as there:
        elsewhere = Person(there, ada.email, ada.user_id)
        for person, peer in [(ada, elsewhere), (elsewhere, ada)] * 3:
            token = ada.tokens["refresh_token"]
            ada.tokens = (await person.refresh(token)).json()
            peer.tokens = ada.tokens

        assert (await elsewhere.refresh(token)).status_code == 401
        assert (await ada.refresh()).status_code == 401


async def test_a_session_that_was_never_refreshed_here_is_known_here(
    limen: Limen, ada: Person, settings: Settings, clock: ManualClock
) -> None:
    async with running(settings, clock) as other:
        pair = await other.features.refresh.rotate(ada.tokens["refresh_token"])
        following = await limen.features.refresh.rotate(pair.refresh_token)

    assert following.refresh_token != pair.refresh_token
    assert (await ada.refresh(pair.refresh_token)).status_code == 401
