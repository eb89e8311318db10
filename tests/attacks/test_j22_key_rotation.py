"""J22: a token signed with a new key before every verifier knew it was refused.

Two workers and a verifier elsewhere, which caches the key set for as long as it may, go through a
rotation together. Every minute each worker signs somebody in, and everybody verifies every token
that has not expired.
"""

import httpx2
import jwt
import pytest

from limen.clock import SECOND
from limen.keys import JWKS_MAX_AGE, LONGEST, MARGIN, PUBLISHED_BEFORE_SIGNING
from limen.limen import Limen
from limen.settings import Settings
from limen.tokens import Generation, Grant
from limen.verify.keyset import KeySet
from limen.verify.revocations import Revocations
from limen.verify.verifier import Verifier
from tests.clock import ManualClock
from tests.people import Person, calling_from
from tests.running import running

pytestmark = pytest.mark.anyio

LIFETIME = 1800
MINUTE = 60


class Elsewhere:
    """A service that verifies with the published keys, fetched only when its copy has expired."""

    def __init__(self, http: httpx2.AsyncClient, limen: Limen, clock: ManualClock) -> None:
        self._http = http
        self._settings = limen.settings
        self._clock = clock
        self._fetched_at = 0
        self._keys = KeySet([])
        self._revocations = Revocations(monotonic=lambda: 0.0)
        self._revocations.synced()

    async def check(self, token: str) -> None:
        if self._clock() - self._fetched_at >= JWKS_MAX_AGE * SECOND:
            answer = await self._http.get("/.well-known/jwks.json")
            self._keys, self._fetched_at = KeySet.from_jwks(answer.json()), self._clock()
        Verifier(
            self._settings.public_url,
            self._settings.audience,
            keys=self._keys,
            revocations=self._revocations,
            now=lambda: self._clock() / SECOND,
        ).check(token)


async def test_a_rotation_refuses_no_token_anywhere(
    limen: Limen, ada: Person, settings: Settings, clock: ManualClock
) -> None:
    async with running(settings, clock) as other, calling_from(other, "127.0.0.1") as there:
        elsewhere = Elsewhere(there, limen, clock)
        await elsewhere.check(ada.tokens["access_token"])  # its copy is as old as it can be
        await limen.features.keys.rotate()
        for worker in (limen, other):
            await worker.features.following.catch_up()
        live: dict[str, int] = {}
        kids = []
        minutes = (PUBLISHED_BEFORE_SIGNING // SECOND + LIFETIME) // MINUTE + 5
        for _ in range(minutes):
            now = clock() // SECOND
            for worker in (limen, other):
                live[issue(worker, clock)] = now + LIFETIME
            live = {token: end for token, end in live.items() if end > now}
            for token in live:
                for worker in (limen, other):
                    worker.verifier.authenticate(token)
                await elsewhere.check(token)
            kids.append({jwt.get_unverified_header(token)["kid"] for token in live})
            clock.tick(MINUTE)

    signers = [len(kid) for kid in kids]
    print(f"\n{minutes} minutes, {2 * minutes} tokens, none refused by two workers and a verifier")
    assert signers[0] == signers[-1] == 1
    assert 2 in signers
    assert kids[0] != kids[-1]


async def test_a_worker_that_heard_late_still_verifies_before_the_new_key_signs(
    limen: Limen, settings: Settings, clock: ManualClock
) -> None:
    """It has ten minutes to hear of it, and asks every second."""
    async with running(settings, clock) as other:
        await limen.features.keys.rotate()
        await limen.features.following.catch_up()
        clock.tick(PUBLISHED_BEFORE_SIGNING / SECOND - 1)
        other.verifier.authenticate(issue(limen, clock))
        await other.features.following.catch_up()
        clock.tick(1)

        other.verifier.authenticate(issue(limen, clock))


async def test_the_old_key_is_gone_when_no_token_of_it_can_be_alive_whatever_the_settings(
    limen: Limen, ada: Person, clock: ManualClock
) -> None:
    last = ada.tokens["access_token"]
    old = jwt.get_unverified_header(last)["kid"]
    await limen.features.keys.rotate()
    await limen.features.following.catch_up()
    clock.tick((PUBLISHED_BEFORE_SIGNING + LONGEST + MARGIN) / SECOND)

    (key,) = (await ada.http.get("/.well-known/jwks.json")).json()["keys"]
    assert key["kid"] != old
    assert (await ada.me(last)).status_code == 401
    await limen.features.sweep.once()
    assert [key.kid for key in await limen.features.keys.load()] == [key["kid"]]


def issue(limen: Limen, clock: ManualClock) -> str:
    generation = Generation("u", "f", 0, clock(), clock() + LIFETIME * SECOND)
    return limen.features.tokens.issue(Grant("u", "s", 1, ""), generation).access_token
