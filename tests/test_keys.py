"""Signing keys: one at the start, none in clear, none refused that still has tokens out."""

import asyncio
from dataclasses import replace
from hashlib import sha256

import jwt
import pytest
from joserfc import jwk

from limen.clock import SECOND
from limen.database.schema import signing_keys
from limen.errors import ConfigurationError
from limen.events import Event, KeyCreated
from limen.keys import LONGEST, MARGIN, PUBLISHED_BEFORE_SIGNING
from limen.limen import Limen
from limen.settings import Settings
from limen.verify.errors import InvalidToken, RevocationsStale
from tests.clock import ManualClock
from tests.people import Person, calling_from, somebody
from tests.running import running
from tests.stored import everything, moved_away, rows

pytestmark = pytest.mark.anyio

OLD, NEW = sha256(b"old").hexdigest(), sha256(b"new").hexdigest()
ALGORITHMS = ["RS256", "ES256", "Ed25519", "HS256"]


def chosen(settings: Settings, algorithm: str = "ES256", *secrets: str) -> Settings:
    return replace(
        settings,
        signing_algorithm=algorithm,  # type: ignore[arg-type]
        secret=secrets or None,
    )


def kid(person: Person) -> str:
    """The key that signed somebody's access token."""
    return str(jwt.get_unverified_header(person.tokens["access_token"])["kid"])


def published(limen: Limen) -> list[str]:
    return [key["kid"] for key in limen._memory.ring.jwks()["keys"]]


def states(limen: Limen) -> list[str]:
    ring = limen._memory.ring
    return [key.state(ring._clock(), ring.signing.kid) for key in ring.all]


async def test_two_that_start_at_once_make_one_key_and_one_secret(
    settings: Settings, clock: ManualClock, happened: list[Event]
) -> None:
    async def run(ready: asyncio.Barrier) -> tuple[list[str], bytes]:
        await ready.wait()
        async with running(settings, clock, happened.append) as limen:
            await ready.wait()
            return published(limen), limen.features.secret.derive("test")

    ready = asyncio.Barrier(3)
    found = await asyncio.gather(*(run(ready) for _ in range(3)))

    assert found == [found[0]] * 3
    assert len(found[0][0]) == 1
    assert sum(isinstance(event, KeyCreated) for event in happened) == 1


async def test_the_first_key_signs_at_once(limen: Limen, ada: Person) -> None:
    assert states(limen) == ["current"]
    assert published(limen) == [kid(ada)]


async def test_a_rotated_key_is_published_before_it_signs_and_kept_until_its_tokens_are_gone(
    limen: Limen, ada: Person, clock: ManualClock
) -> None:
    old = kid(ada)
    new = (await limen.features.keys.rotate()).kid
    await limen.features.following.catch_up()
    story = []
    for seconds in (
        0,
        PUBLISHED_BEFORE_SIGNING / SECOND - 1,
        1,
        (LONGEST + MARGIN) / SECOND - 1,
        1,
    ):
        clock.tick(seconds)
        await ada.sign_in()
        story.append((kid(ada), published(limen), states(limen)))

    assert story == [
        (old, [old, new], ["current", "next"]),
        (old, [old, new], ["current", "next"]),
        (new, [old, new], ["retiring", "current"]),
        (new, [old, new], ["retiring", "current"]),
        (new, [new], ["retired", "current"]),
    ]


async def test_another_algorithm_takes_over_like_any_rotation(
    settings: Settings, clock: ManualClock
) -> None:
    async with running(chosen(settings), clock) as limen, calling_from(limen, "::1") as http:
        ada = await somebody(limen, http)
        first = kid(ada)

    changed = chosen(settings, "Ed25519")
    async with running(changed, clock) as limen, calling_from(limen, "::1") as http:
        ada.http = http
        assert len(published(limen)) == 2
        clock.tick(PUBLISHED_BEFORE_SIGNING / SECOND - 1)
        assert (await ada.me()).status_code == 200
        await ada.refresh()
        assert kid(ada) == first
        clock.tick(1)
        assert (await ada.me()).status_code == 200
        await ada.refresh()
        assert kid(ada) != first
        assert jwt.get_unverified_header(ada.tokens["access_token"])["alg"] == "Ed25519"
        assert (await ada.me()).status_code == 200

    async with running(changed, clock) as limen:
        assert len(limen._memory.ring.all) == 2  # no third key at the next start


async def test_a_start_without_change_makes_no_key(
    settings: Settings, clock: ManualClock, happened: list[Event]
) -> None:
    for _ in range(3):
        async with running(settings, clock, happened.append):
            pass

    assert sum(isinstance(event, KeyCreated) for event in happened) == 1


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_no_private_part_lies_in_the_database_in_clear(
    settings: Settings, clock: ManualClock, algorithm: str
) -> None:
    async with running(chosen(settings, algorithm), clock) as limen:
        key = limen._memory.ring.signing.key
        stored = await everything(limen)
        members = key.as_dict(private=True)

    private = {
        name: str(members[name])
        for name in ("d", "p", "q", "dp", "dq", "qi", "k")
        if name in members
    }
    assert private
    raw = [jwk.OctKey.import_key({"kty": "oct", "k": part}).raw_value for part in private.values()]
    assert [part for part in private.values() if part.encode() in stored] == []
    assert [part for part in raw if part in stored] == []
    assert b"PRIVATE KEY" not in stored
    assert str(members["kid"]).encode() in stored  # the search would have found them


async def test_keys_are_parsed_when_they_are_loaded_and_never_again(
    limen: Limen, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = 0
    import_key = jwk.import_key

    def counting(*arguments: object) -> object:
        nonlocal parsed
        parsed += asyncio.current_task() is ours  # the background takes over the first key
        return import_key(*arguments)  # type: ignore[call-overload]

    ours = asyncio.current_task()
    monkeypatch.setattr(jwk, "import_key", counting)
    for _ in range(10):
        await ada.refresh()
        await ada.me()
    assert parsed == 0

    await limen.features.keys.load()
    assert parsed == 1


async def test_keys_sealed_by_an_older_root_secret_are_sealed_anew(
    settings: Settings, clock: ManualClock
) -> None:
    async with running(chosen(settings, "ES256", OLD), clock) as limen:
        (sealed_by_old,) = await rows(limen, signing_keys)
    async with running(chosen(settings, "ES256", NEW, OLD), clock) as limen:
        (sealed_by_new,) = await rows(limen, signing_keys)
    async with running(chosen(settings, "ES256", NEW), clock) as limen:
        assert published(limen) == [sealed_by_old.kid]
    assert sealed_by_new.sealed != sealed_by_old.sealed


async def test_another_root_secret_refuses_to_start_and_harms_nothing(
    settings: Settings, clock: ManualClock
) -> None:
    async with running(chosen(settings, "ES256", OLD), clock) as limen:
        kids = published(limen)

    with pytest.raises(ConfigurationError, match="LIMEN_SECRET") as refused:
        async with running(chosen(settings, "ES256", NEW), clock):
            pass
    assert NEW not in str(refused.value)
    assert OLD not in str(refused.value)

    async with running(chosen(settings, "ES256", OLD), clock) as limen:
        assert published(limen) == kids


async def test_a_sealed_key_is_of_no_use_under_another_kid(
    settings: Settings, clock: ManualClock
) -> None:
    """The kid is bound to the seal, so rows of a database cannot be swapped."""
    async with running(settings, clock) as limen, limen.features.database.write() as connection:
        await connection.exec_driver_sql("UPDATE signing_keys SET kid = 'another'")

    with pytest.raises(ConfigurationError):
        async with running(settings, clock):
            pass


async def test_in_an_emergency_a_new_key_signs_and_all_others_are_refused_everywhere_at_once(
    limen: Limen, twin: Limen, ada: Person
) -> None:
    await limen.features.keys.rotate()  # so that there is a key that would sign next
    leaked = ada.tokens["access_token"]
    made = await twin.features.keys.rotate(emergency=True)
    for worker in (limen, twin):
        await worker.features.following.catch_up()
        with pytest.raises(InvalidToken, match="key that is not known"):
            await worker.verifier.verify(leaked)
        assert published(worker) == [made.kid]
        assert states(worker).count("retired") == 2

    assert (await ada.refresh()).status_code == 200  # nobody is signed out
    assert kid(ada) == made.kid
    for worker in (limen, twin):
        assert (await worker.verifier.verify(ada.tokens["access_token"])).user_id == ada.user_id


async def test_a_key_that_was_to_sign_next_never_does_after_an_emergency(
    limen: Limen, ada: Person, clock: ManualClock
) -> None:
    await limen.features.keys.rotate()
    clock.tick(1)
    made = await limen.features.keys.rotate(emergency=True)
    await limen.features.following.catch_up()
    clock.tick(PUBLISHED_BEFORE_SIGNING / SECOND + 1)

    await ada.sign_in()
    assert kid(ada) == made.kid
    assert (await ada.me()).status_code == 200


async def test_a_token_of_a_key_that_was_not_heard_of_yet_waits_for_the_keys_to_be_read(
    limen: Limen, twin: Limen, ada: Person
) -> None:
    """Its worker may have made the key a moment ago: refusing it would be wrong."""
    await limen.features.keys.rotate(emergency=True)
    await limen.features.following.catch_up()
    await ada.sign_in()
    twin._memory.ring.replace(key for key in twin._memory.ring.all if key.kid != kid(ada))
    twin.features.following._is_announced = True  # as when the announcement has only just come

    assert (await twin.verifier.verify(ada.tokens["access_token"])).user_id == ada.user_id


async def test_a_key_nobody_has_is_refused_when_that_is_certain_and_503_until_then(
    limen: Limen, ada: Person
) -> None:
    forged = jwt.encode({}, "x" * 32, algorithm="HS256", headers={"typ": "at+jwt", "kid": "none"})

    with pytest.raises(InvalidToken, match="key that is not known"):
        await limen.verifier.verify(forged)
    with moved_away(limen), pytest.raises(RevocationsStale):
        await limen.verifier.verify(forged)
    answer = await ada.me(forged)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")


async def test_a_clock_that_is_set_back_leaves_a_key_to_sign_with(
    limen: Limen, ada: Person, clock: ManualClock
) -> None:
    clock.tick(-86400)

    assert (await ada.sign_in()).status_code == 200
    assert (await ada.me()).status_code == 200
    assert states(limen) == ["current"]
