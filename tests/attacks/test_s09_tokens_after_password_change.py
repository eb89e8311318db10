"""S9: tokens that were given for the old password outlived it (OWASP ASVS 5.0, V7.4.3)."""

import pytest

from limen.limen import Limen
from tests.people import Person, attempt

pytestmark = pytest.mark.anyio

KEY = "retry-key-of-ada"
NEW_PASSWORD = "quite another staple battery"


async def test_nothing_given_for_the_old_password_is_good_after_the_change(
    limen: Limen, ada: Person
) -> None:
    given = [ada.tokens]
    await ada.sign_in()
    given.append(ada.tokens)
    retried = ada.tokens["refresh_token"]
    await ada.refresh(key=KEY)
    given.append(ada.tokens)

    await limen.features.accounts.set_password(ada.user_id, NEW_PASSWORD)

    for pair in given:
        assert (await ada.me(pair["access_token"])).status_code == 401
        assert (await ada.refresh(pair["refresh_token"])).status_code == 401
    assert (await ada.refresh(retried, KEY)).status_code == 401
    assert (await attempt(ada.http, ada.email, ada.password)).status_code == 401
    assert (await attempt(ada.http, ada.email, NEW_PASSWORD)).status_code == 200


async def test_a_change_back_to_the_same_password_revives_nothing(
    limen: Limen, ada: Person
) -> None:
    for password in (NEW_PASSWORD, ada.password):
        await limen.features.accounts.set_password(ada.user_id, password)

    assert (await ada.refresh()).status_code == 401
    assert (await ada.me()).status_code == 401
    assert (await ada.sign_in()).status_code == 200
