"""R8: a body that sets what is not its sender's to set.

Each route that makes or changes an account takes the members that it documents, and no other.
"""

from typing import Any

import httpx2
import pytest

from limen.database.schema import accounts
from limen.limen import Limen
from tests.mailbox import last_mail
from tests.people import AUTH, PASSWORD, Person
from tests.stored import rows, slots_taken

pytestmark = pytest.mark.anyio

EXTRA: dict[str, Any] = {
    "verified_at": 1,
    "email_verified": True,
    "roles": "admin",
    "scope": "admin",
    "user_id": "0" * 32,
    "cv": 99,
    "password_hash": "$argon2id$",
    "disabled_at": None,
    "reset_required_at": None,
    "email_key": "bob@example.com",
    "purpose": "reset",
    "is_admin": True,
}


async def good_bodies(limen: Limen, person: Person) -> dict[str, dict[str, Any]]:
    """Return a good body for each route."""
    await person.http.post(f"{AUTH}/email/verify", headers=person.bearer())
    code = (await last_mail(limen, person.email)).token
    new = {"email": "new@example.com", "current_password": PASSWORD}
    asked = await person.http.post(f"{AUTH}/email/change", json=new, headers=person.bearer())
    assert asked.status_code == 202
    change = (await last_mail(limen, "new@example.com")).token
    return {
        "register": {"email": "bob@example.com", "password": PASSWORD},
        "email/verify/confirm": {"code": code},
        "email/verify": {"email": person.email},
        "email/change/confirm": {"code": change},
        "email/change": new,
    }


@pytest.mark.parametrize("member", EXTRA)
async def test_nobody_sets_what_is_not_his_to_set(limen: Limen, ada: Person, member: str) -> None:
    bodies = await good_bodies(limen, ada)
    before = await rows(limen, accounts), await slots_taken(limen)
    for path, body in bodies.items():
        answer = await ada.http.post(
            f"{AUTH}/{path}", json={**body, member: EXTRA[member]}, headers=ada.bearer()
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), path

    assert (await rows(limen, accounts), await slots_taken(limen)) == before


async def test_the_bodies_are_good_without_it(
    limen: Limen, ada: Person, http: httpx2.AsyncClient
) -> None:
    bodies = await good_bodies(limen, ada)
    del bodies["email/change"]  # asked for already, and its code is used up just before
    for path, body in bodies.items():
        answer = await http.post(f"{AUTH}/{path}", json=body, headers=ada.bearer())
        assert answer.status_code < 300, path
