"""GET /.well-known/jwks.json: what a stranger needs to verify tokens, and nothing to make them."""

from dataclasses import replace

import httpx2
import jwt
import pytest

from limen.limen import Limen
from limen.settings import Settings
from limen.verify.keyset import KeySet
from tests.clock import ManualClock
from tests.people import calling_from, somebody
from tests.running import running

pytestmark = pytest.mark.anyio

PATH = "/.well-known/jwks.json"
PUBLIC = {
    "RS256": {"kty", "kid", "alg", "use", "n", "e"},
    "ES256": {"kty", "kid", "alg", "use", "crv", "x", "y"},
    "Ed25519": {"kty", "kid", "alg", "use", "crv", "x"},
}


@pytest.mark.parametrize("algorithm", PUBLIC)
async def test_the_key_set_holds_the_public_members_and_no_others(
    settings: Settings, clock: ManualClock, algorithm: str
) -> None:
    other = replace(settings, signing_algorithm=algorithm)  # type: ignore[arg-type]
    async with running(other, clock) as limen, calling_from(limen, "127.0.0.1") as http:
        (key,) = (await http.get(PATH)).json()["keys"]
        ada = await somebody(limen, http)

    header = jwt.get_unverified_header(ada.tokens["access_token"])
    assert key.keys() == PUBLIC[algorithm]
    assert (key["alg"], key["kid"], key["use"]) == (algorithm, header["kid"], "sig")
    assert KeySet.from_jwks({"keys": [key]}).find(key["kid"]) is not None


async def test_an_hmac_key_is_never_published(settings: Settings, clock: ManualClock) -> None:
    symmetric = replace(settings, signing_algorithm="HS256")
    async with running(symmetric, clock) as limen, calling_from(limen, "127.0.0.1") as http:
        answer = await http.get(PATH)
        ada = await somebody(limen, http)

        assert (answer.status_code, answer.json()) == (200, {"keys": []})
        assert (await ada.me()).status_code == 200


async def test_it_may_be_cached_for_as_long_as_a_key_is_published_before_it_signs(
    http: httpx2.AsyncClient,
) -> None:
    answer = await http.get(PATH)

    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert answer.headers["Content-Type"] == "application/json"


async def test_it_needs_no_token_and_no_database(limen: Limen, http: httpx2.AsyncClient) -> None:
    await limen.features.database.close()

    assert (await http.get(PATH)).status_code == 200
    assert (await http.head(PATH)).status_code in {200, 405}
