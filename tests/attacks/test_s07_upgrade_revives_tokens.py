"""S7, GoTrue #2624: tokens that were dead before an upgrade were good after it.

What changes with time is the version, whose migrations run at start, and the root secret.
"""

from dataclasses import replace
from hashlib import sha256

import pytest

from limen.database.migrate import migrate
from limen.settings import Settings
from tests.clock import ManualClock
from tests.people import calling_from, somebody
from tests.running import running

pytestmark = pytest.mark.anyio

OLD, NEW = sha256(b"old").hexdigest(), sha256(b"new").hexdigest()


async def test_what_was_dead_stays_dead_across_upgrades_and_secrets(
    settings: Settings, clock: ManualClock
) -> None:
    def with_secret(*secrets: str) -> Settings:
        return replace(settings, secret=secrets)

    async with running(with_secret(OLD), clock) as limen, calling_from(limen, "::1") as http:
        ended = await somebody(limen, http)
        await ended.log_out()
        rotated = await somebody(limen, http, "eve@example.com")
        used = rotated.tokens["refresh_token"]
        await rotated.refresh()

    migrate(settings.database_url)
    for secrets in ([NEW, OLD], [NEW]):
        async with (
            running(with_secret(*secrets), clock) as limen,
            calling_from(limen, "::1") as http,
        ):
            ended.http = rotated.http = http
            assert (await ended.refresh()).status_code == 401
            assert (await ended.me()).status_code == 401
            assert (await rotated.refresh(used)).status_code == 401
            assert (await rotated.refresh()).status_code == 401
