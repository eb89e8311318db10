"""The two tokens: what they say, how long they hold, who can make them and who can read them."""

import dataclasses
import json
import re
from base64 import urlsafe_b64decode
from dataclasses import replace
from hashlib import sha256
from typing import Any

import httpx2
import jwt
import pytest

from limen.clock import SECOND
from limen.errors import InvalidRefreshToken
from limen.limen import Limen
from limen.settings import Settings
from limen.tokens import Generation, Grant
from limen.verify.keyset import ALGORITHMS
from tests.clock import ManualClock
from tests.people import Person, calling_from, somebody
from tests.running import running
from tests.tokens import b64

pytestmark = pytest.mark.anyio

OLD, NEW = sha256(b"old").hexdigest(), sha256(b"new").hexdigest()
ISSUER = "https://login.example.com"
AUDIENCE = "https://api.example.com"


def said(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the header and the payload as they are written."""
    header, payload = (json.loads(urlsafe_b64decode(f"{p}===")) for p in token.split(".")[:2])
    return header, payload


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_tokens_of_every_algorithm_are_issued_and_accepted(
    settings: Settings, clock: ManualClock, algorithm: str
) -> None:
    chosen = replace(settings, signing_algorithm=algorithm)  # type: ignore[arg-type]
    async with running(chosen, clock) as limen, calling_from(limen, "127.0.0.1") as http:
        ada = await somebody(limen, http)

        assert (await ada.me()).json()["user_id"] == ada.user_id
        assert (await ada.refresh()).status_code == 200
        assert (await ada.me()).status_code == 200
        assert said(ada.tokens["access_token"])[0]["alg"] == algorithm
        tampered = ada.tokens["access_token"][:-4] + "AAAA"
        assert (await ada.me(tampered)).json()["code"] == "invalid_token"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
async def test_a_stranger_verifies_them_with_the_published_key_and_another_library(
    settings: Settings, clock: ManualClock, algorithm: str
) -> None:
    chosen = replace(
        settings,
        signing_algorithm=algorithm,  # type: ignore[arg-type]
        public_url=ISSUER,
        audience=AUDIENCE,
    )
    async with running(chosen, clock) as limen, calling_from(limen, "127.0.0.1") as http:
        ada = await somebody(limen, http, scope="admin")
        (key,) = (await http.get("/.well-known/jwks.json")).json()["keys"]

    claims = jwt.decode(
        ada.tokens["access_token"],
        jwt.PyJWK(key),
        algorithms=[algorithm],
        issuer=ISSUER,
        audience=AUDIENCE,
    )
    assert (claims["sub"], claims["scope"]) == (ada.user_id, "admin")


async def test_an_access_token_says_exactly_this(
    limen: Limen, http: httpx2.AsyncClient, clock: ManualClock
) -> None:
    ada = await somebody(limen, http, scope="admin read")
    now = clock.now // SECOND

    header, claims = said(ada.tokens["access_token"])

    assert header == {"alg": "ES256", "typ": "at+jwt", "kid": limen._memory.ring.signing.kid}
    assert re.fullmatch(r"[0-9a-f]{32}", claims.pop("sid"))
    assert re.fullmatch(r"[\w-]{22}", claims.pop("jti"))
    assert claims == {
        "iss": "http://localhost:8000",
        "aud": "limen",
        "sub": ada.user_id,
        "user_id": ada.user_id,
        "iat": now,
        "nbf": now,
        "exp": now + 1800,
        "type": "access",
        "cv": 1,
        "scope": "admin read",
        "email_verified": False,
    }
    assert re.fullmatch(r"[0-9a-f]{32}", ada.user_id)


async def test_a_refresh_token_says_exactly_this(
    limen: Limen, ada: Person, clock: ManualClock
) -> None:
    clock.tick(100)
    await ada.refresh()
    now = clock.now // SECOND

    header, claims = said(ada.tokens["refresh_token"])

    assert header.keys() == {"alg", "typ", "kid"}
    assert (header["alg"], header["typ"]) == ("HS256", "rt+jwt")
    assert re.fullmatch(r"[\w-]{43}", claims.pop("fid"))
    assert re.fullmatch(r"[\w-]{22}", claims.pop("jti"))
    assert claims == {
        "iss": limen.settings.public_url,
        "aud": limen.settings.public_url,
        "sub": ada.user_id,
        "user_id": ada.user_id,
        "gen": 1,
        "iat": now,
        "exp": now + 604800,
        "type": "refresh",
    }


async def test_no_two_access_tokens_are_the_same(ada: Person) -> None:
    jtis = set()
    for _ in range(20):
        await ada.refresh()
        jtis.add(said(ada.tokens["access_token"])[1]["jti"])

    assert len(jtis) == 20


async def test_an_access_token_expires_after_thirty_minutes_to_the_second(
    ada: Person, clock: ManualClock
) -> None:
    clock.now -= clock.now % SECOND
    await ada.sign_in()
    clock.tick(1800 - 1e-6)
    at_the_last_moment = await ada.me()
    clock.tick(1e-6)

    assert at_the_last_moment.status_code == 200
    assert (await ada.me()).json()["detail"] == "The access token has expired: refresh it."


async def test_no_access_token_outlives_its_session(settings: Settings, clock: ManualClock) -> None:
    """Its row is swept then, and a sign-out could not find it any more."""
    clock.now -= clock.now % SECOND
    week = dataclasses.replace(settings, session_lifetime=7 * 86400)
    async with running(week, clock) as limen, calling_from(limen, "127.0.0.1") as http:
        ada = await somebody(limen, http)
        clock.tick(7 * 86400 - 600)
        await ada.refresh()
        in_the_last_minutes = ada.tokens["expires_in"], said(ada.tokens["access_token"])[1]
        clock.tick(600)

        assert in_the_last_minutes[0] == ada.tokens["refresh_expires_in"] == 600
        assert in_the_last_minutes[1]["exp"] == clock.now // SECOND
        assert (await ada.me()).status_code == 401


async def test_a_successor_handed_out_late_brings_no_longer_access_token(
    ada: Person, clock: ManualClock
) -> None:
    first = ada.tokens["refresh_token"]
    await ada.refresh(first, key="k" * 16)
    clock.tick(7 * 86400 - 601)
    await ada.refresh(first, key="k" * 16)

    assert ada.tokens["expires_in"] == ada.tokens["refresh_expires_in"] <= 601


async def test_refreshing_outlives_the_access_token(ada: Person, clock: ManualClock) -> None:
    for _ in range(5):
        clock.tick(1801)
        assert (await ada.me()).status_code == 401
        assert (await ada.refresh()).status_code == 200
        assert (await ada.me()).status_code == 200


async def test_a_rotated_root_secret_still_opens_what_the_older_one_sealed(
    settings: Settings, clock: ManualClock
) -> None:
    def with_secret(*secrets: str) -> Settings:
        return replace(settings, secret=secrets)

    async with running(with_secret(OLD), clock) as limen, calling_from(limen, "::1") as http:
        ada = await somebody(limen, http)
    sealed_by_old = ada.tokens["refresh_token"]

    async with running(with_secret(NEW, OLD), clock) as limen, calling_from(limen, "::1") as http:
        ada.http = http
        answers = [await ada.me(), await ada.refresh(key="retry-key-of-ada"), await ada.me()]
        again = await ada.refresh(sealed_by_old, key="retry-key-of-ada")

    async with running(with_secret(NEW), clock) as limen, calling_from(limen, "::1") as http:
        ada.http = http
        afterwards = [await ada.me(), await ada.refresh()]
        forgotten = await ada.refresh(sealed_by_old)

    assert [answer.status_code for answer in [*answers, again, *afterwards]] == [200] * 6
    assert forgotten.status_code == 401
    assert said(sealed_by_old)[0]["kid"] != said(ada.tokens["refresh_token"])[0]["kid"]


async def test_a_seal_of_another_issuer_with_the_same_secret_is_refused(
    settings: Settings, clock: ManualClock, limen: Limen
) -> None:
    twin = replace(settings, public_url=ISSUER)
    async with running(twin, clock) as other:
        foreign = other.features.tokens.issue(
            Grant("u", "s", 1, ""), Generation("u", "f", 0, clock(), clock() + SECOND)
        )
        assert other.features.tokens._seal.kid == limen.features.tokens._seal.kid

    with pytest.raises(InvalidRefreshToken):
        limen.features.tokens.open_refresh_token(foreign.refresh_token)


async def test_a_refresh_token_is_read_only_under_its_seal(limen: Limen, ada: Person) -> None:
    header, _, seal = ada.tokens["refresh_token"].split(".")

    for payload in (b"no JSON", b"[]", b'{"gen":0,"gen":1}', b"{}"):
        with pytest.raises(InvalidRefreshToken):
            limen.features.tokens.open_refresh_token(f"{header}.{b64(payload)}.{seal}")


async def test_a_representation_shows_no_token_and_no_fid(limen: Limen, ada: Person) -> None:
    pair = limen.features.tokens.issue(
        Grant(ada.user_id, "s", 1, ""), generation := Generation(ada.user_id, "the-fid", 0, 0, 0)
    )
    presented = limen.features.tokens.open_refresh_token(pair.refresh_token)

    shown = f"{pair!r} {generation!r} {presented!r}"
    assert [s for s in ("the-fid", pair.access_token, pair.refresh_token) if s in shown] == []
