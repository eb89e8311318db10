"""A thread asks limen's own verifier, and is answered with what is known."""

import pytest

from limen.limen import Limen
from limen.verify.errors import InvalidToken
from tests.conftest import on_sqlite
from tests.people import Person
from tests.tokens import payload_of, signer

pytestmark = [pytest.mark.anyio, on_sqlite]


async def test_a_thread_is_told_that_an_invented_kid_is_nobodys(limen: Limen, ada: Person) -> None:
    settings = limen.settings
    said = payload_of(iss=settings.public_url, aud=settings.audience)
    invented = signer("ES256", "invented").token(payload=said)

    with pytest.raises(InvalidToken) as refused:  # not RevocationsStale, which is a 503
        limen.verifier.verify_blocking(invented)
    assert refused.value.reason == "unknown_key"
    assert limen.verifier.verify_blocking(ada.tokens["access_token"]).user_id == ada.user_id
