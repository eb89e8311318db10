"""P2: a password of a megabyte, hashed as it comes (Django CVE-2013-1443): each takes a second."""

from collections.abc import Callable

import httpx2
import pytest

from limen.events import Event
from limen.limen import Limen
from tests.crowds import hashes
from tests.people import AUTH, PASSWORD
from tests.test_stored_hashes import argon2, pbkdf2

pytestmark = pytest.mark.anyio

EMAIL = "ada@example.com"
MEGABYTE, FITTING = "x" * 1_000_000, "x" * 16_000  # the second fits into a body
BODIES = {
    "application/json": f'{{"email": "{EMAIL}", "password": "{MEGABYTE}"}}',
    "application/x-www-form-urlencoded": f"username={EMAIL}&password={MEGABYTE}",
}


@pytest.mark.parametrize("route", ["login", "register"])
async def test_a_megabyte_is_refused_before_it_is_looked_at(
    limen: Limen, http: httpx2.AsyncClient, happened: list[Event], route: str
) -> None:
    await limen.features.accounts.create(EMAIL, PASSWORD)
    happened.clear()
    for content_type, body in BODIES.items():
        headers = {"Content-Type": content_type}
        answer = await http.post(f"{AUTH}/{route}", content=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")

    assert happened == []


@pytest.mark.parametrize("route", ["login", "register"])
async def test_what_fits_into_a_body_is_refused_before_it_is_hashed(
    http: httpx2.AsyncClient, happened: list[Event], route: str
) -> None:
    for password in ("x" * 257, FITTING):
        answer = await http.post(f"{AUTH}/{route}", json={"email": EMAIL, "password": password})
        assert (answer.status_code, answer.json()["field"]) == (422, "password")

    assert hashes(happened) == 0


@pytest.mark.parametrize("stored", [argon2, pbkdf2])
async def test_nor_is_what_no_password_can_be_hashed_to_be_compared(
    limen: Limen, happened: list[Event], stored: Callable[[str], str]
) -> None:
    """Not even where it would be right: as ever, one hash is computed, and of something else."""
    for password in ("x" * 257, MEGABYTE):
        assert not (await limen.features.passwords.verify(password, stored(password))).matches

    assert hashes(happened) == 2
