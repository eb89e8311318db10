"""Opening an account for oneself: within a limit, and only where the operator lets people."""

from pathlib import Path

import pytest

from limen.database.schema import accounts
from limen.errors import Busy, EmailTaken, InvalidRequest, RegistrationClosed, TooManyAttempts
from limen.events import Event
from limen.limen import Limen
from limen.registration import Registration
from limen.settings import Limit, Settings
from tests.clock import ManualClock
from tests.crowds import full, hashes
from tests.people import PASSWORD
from tests.stored import rows, slots_taken

pytestmark = pytest.mark.anyio

HERE = "203.0.113.7"


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        signing_algorithm="ES256",
        register_address_limit=Limit(3, 3600),
    )


@pytest.fixture
def registration(limen: Limen) -> Registration:
    return limen.features.registration


async def register(registration: Registration, number: int, address: str = HERE) -> None:
    await registration.register(f"u{number}@example.com", PASSWORD, address)


async def test_the_limit_counts_registrations_of_an_address(
    limen: Limen, registration: Registration, clock: ManualClock, happened: list[Event]
) -> None:
    for number in range(3):
        await register(registration, number)
    happened.clear()

    with pytest.raises(TooManyAttempts) as refused:
        await register(registration, 3)

    assert (refused.value.policy, refused.value.retry_after) == ("register-address", 3600)
    assert hashes(happened) == 0
    assert len(await rows(limen, accounts)) == 3
    await register(registration, 3, "203.0.113.8")
    clock.tick(3600)
    await register(registration, 4)


async def test_a_line_of_ipv6_is_one_address(registration: Registration) -> None:
    for number in range(3):
        await register(registration, number, f"2001:db8:7:7::{number}")

    with pytest.raises(TooManyAttempts):
        await register(registration, 3, "2001:db8:7:7:ffff::1")


@pytest.mark.parametrize(
    ("email", "password", "error"),
    [
        ("taken@example.com", PASSWORD, EmailTaken),
        ("nobody", PASSWORD, InvalidRequest),
        ("new@example.com", "short", InvalidRequest),
    ],
    ids=["taken", "no address", "bad password"],
)
async def test_a_slot_is_kept_whatever_comes_of_it(
    limen: Limen, registration: Registration, email: str, password: str, error: type[Exception]
) -> None:
    """Or else the limit would not bound who asks which addresses are taken."""
    await limen.features.accounts.create("taken@example.com", PASSWORD)
    for _ in range(3):
        with pytest.raises(error):
            await registration.register(email, password, HERE)

    with pytest.raises(TooManyAttempts):
        await registration.register(email, password, HERE)


async def test_a_full_hashing_room_is_told_and_opens_nothing(
    limen: Limen, registration: Registration
) -> None:
    async with full(limen.features.room):
        with pytest.raises(Busy):
            await register(registration, 1)

    assert await rows(limen, accounts) == []
    await register(registration, 1)


async def test_where_registration_is_closed_nothing_is_looked_at(
    limen: Limen, happened: list[Event]
) -> None:
    closed = Registration(
        limen.features.accounts,
        limen.features.login._limits,
        is_open=False,
        policy=limen.features.registration._policy,
    )
    happened.clear()

    for email in ("new@example.com", "nobody"):
        with pytest.raises(RegistrationClosed):
            await closed.register(email, PASSWORD, HERE)

    assert await slots_taken(limen) == {}
    assert await rows(limen, accounts) == []
    assert happened == []
