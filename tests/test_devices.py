"""A device that has signed in before is not locked out by strangers, and is worth nothing else."""

import base64
from collections.abc import Callable

import httpx2
import pytest

from limen.clock import SECOND
from limen.devices import LIFETIME, Devices
from limen.limen import Limen
from tests.clock import ManualClock
from tests.people import PASSWORD, Person, attempt, calling_from, guess, somebody

pytestmark = pytest.mark.anyio

ADA = "ada@example.com"


@pytest.fixture
def devices(clock: ManualClock) -> Devices:
    return Devices(b"d" * 32, clock)


def test_a_token_is_recognised_for_its_account_alone(devices: Devices) -> None:
    token = devices.issue(ADA)

    assert devices.recognise(token, ADA) is not None
    assert devices.recognise(token, "bob@example.com") is None


def test_each_device_has_a_name_of_its_own(devices: Devices) -> None:
    names = {devices.recognise(devices.issue(ADA), ADA) for _ in range(100)}

    assert len(names) == 100


def test_a_token_does_not_show_whose_it_is(devices: Devices) -> None:
    token = devices.issue(ADA)

    assert "ada" not in token
    parts = token.split(".")[1:]
    assert not any(b"ada" in base64.urlsafe_b64decode(part + "==") for part in parts)


@pytest.mark.parametrize(
    ("age", "is_known"),
    [(0, True), (LIFETIME, True), (LIFETIME + 1, False)],
    ids=["new", "old", "too old"],
)
def test_a_device_that_has_been_away_too_long_is_a_stranger(
    devices: Devices, clock: ManualClock, age: int, *, is_known: bool
) -> None:
    clock.now -= clock.now % SECOND
    token = devices.issue(ADA)
    clock.tick(age)

    assert (devices.recognise(token, ADA) is not None) is is_known


ALTERED: dict[str, Callable[[str], str | None]] = {
    "none": lambda _: None,
    "empty": lambda _: "",
    "garbage": lambda _: "garbage",
    "long": lambda _: "x" * 100_000,
    "dots": lambda _: "..",
    "no MAC": lambda token: token.rpartition(".")[0] + ".",
    "younger": lambda token: "9999999999" + token[10:],
    "another device": lambda token: token[:11] + "A" * 22 + token[33:],
    "another MAC": lambda token: token[:34] + "A" * 43,
    "trailing newline": lambda token: token + "\n",
    "padded": lambda token: token + "=",
    "not ASCII": lambda token: "१७९५००००००" + token[10:],
    "lone surrogate": lambda token: token[:-1] + "\ud800",
    "NUL": lambda token: token + "\0",
}


@pytest.mark.parametrize("alter", ALTERED.values(), ids=ALTERED)
def test_whatever_was_not_sealed_here_is_a_stranger(
    devices: Devices, alter: Callable[[str], str | None]
) -> None:
    assert devices.recognise(alter(devices.issue(ADA)), ADA) is None


def test_another_key_recognises_nothing(devices: Devices, clock: ManualClock) -> None:
    assert Devices(b"e" * 32, clock).recognise(devices.issue(ADA), ADA) is None


async def test_a_known_device_signs_in_while_strangers_have_used_up_the_attempts(
    ada: Person, stranger: httpx2.AsyncClient
) -> None:
    assert "limen_device" in ada.http.cookies
    for _ in range(5):
        await guess(stranger, ada.email)

    assert (await attempt(stranger, ada.email, PASSWORD)).status_code == 429
    assert (await ada.sign_in()).status_code == 200


async def test_the_token_works_in_the_header_and_in_the_cookie(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    token = ada.http.cookies["limen_device"]
    for _ in range(5):
        await guess(stranger, ada.email)

    for name, value in [("Limen-Device", token), ("Cookie", f"limen_device={token}")]:
        async with calling_from(limen, "198.51.100.8") as device:
            response = await attempt(device, ada.email, PASSWORD, **{name: value})
        assert response.status_code == 200
        assert "limen-device" not in response.headers  # it has one already
        assert "set-cookie" not in response.headers


async def test_a_known_device_has_five_attempts_of_its_own(
    limen: Limen, ada: Person, stranger: httpx2.AsyncClient
) -> None:
    """And does not use up those of strangers, or of another device."""
    mine = {"Limen-Device": ada.http.cookies["limen_device"]}
    other = {"Limen-Device": (await attempt(stranger, ada.email)).headers["limen-device"]}
    async with calling_from(limen, "198.51.100.8") as device:
        statuses = [(await guess(device, ada.email, **mine)).status_code for _ in range(7)]
        refused = await attempt(device, ada.email, PASSWORD, **mine)

        assert statuses == [401] * 5 + [429] * 2
        assert refused.status_code == 429
        assert refused.headers["ratelimit-policy"].startswith('"login-device";q=5;')
        assert (await guess(device, ada.email, **other)).status_code == 401
    stranger.cookies.clear()
    assert (await attempt(stranger, ada.email, PASSWORD)).status_code == 200


@pytest.mark.parametrize("whose", ["another account's", "forged", "expired", "garbage"])
async def test_whoever_has_no_good_token_is_a_stranger(
    limen: Limen,
    ada: Person,
    stranger: httpx2.AsyncClient,
    clock: ManualClock,
    whose: str,
) -> None:
    token = ada.http.cookies["limen_device"]
    match whose:
        case "another account's":
            bob = await somebody(limen, stranger, "bob@example.com")
            token = bob.http.cookies["limen_device"]
        case "forged":
            token = token[:-1] + ("A" if token[-1] != "A" else "Q")
        case "expired":
            clock.tick(401 * 86400)
        case _:
            token = "x" * 1000
    async with calling_from(limen, "198.51.100.8") as attacker:
        for _ in range(5):
            await guess(attacker, ada.email)
        held = {"Limen-Device": token}
        assert (await attempt(attacker, ada.email, PASSWORD, **held)).status_code == 429


async def test_a_stranger_who_signs_in_becomes_a_known_device(
    ada: Person, stranger: httpx2.AsyncClient
) -> None:
    response = await attempt(stranger, ada.email, PASSWORD)

    assert response.headers["limen-device"] == stranger.cookies["limen_device"]
    assert response.headers["limen-device"] != ada.http.cookies["limen_device"]


async def test_a_failure_hands_out_no_device_token(
    ada: Person, stranger: httpx2.AsyncClient
) -> None:
    response = await guess(stranger, ada.email)

    assert "limen-device" not in response.headers
    assert "set-cookie" not in response.headers
