"""S12, next-auth GHSA-8fpg-xm3f-6cx3: a configuration error opened every door.

A broken configuration does not start, and what has not started lets nobody in. Malformed
Authorization headers are S12b.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from limen import app as standalone
from limen.errors import ConfigurationError
from limen.limen import Limen
from limen.settings import Settings
from tests.clock import ManualClock
from tests.people import AUTH, Person, calling_from, somebody
from tests.running import running

pytestmark = pytest.mark.anyio

BROKEN_SETTINGS: dict[str, dict[str, str]] = {
    "an empty secret": {"LIMEN_SECRET": ""},
    "a short secret": {"LIMEN_SECRET": "secret"},
    "a repeated secret": {"LIMEN_SECRET": "a" * 64},
    "one weak secret of two": {"LIMEN_SECRET": "q8Zr1mYc0vT5wKx2NbGd7HpJ4sLf9AeU,short"},
    "a secret file that is not there": {"LIMEN_SECRET_FILE": "/nowhere/secret"},
    "an unknown algorithm": {"LIMEN_SIGNING_ALGORITHM": "none"},
    "a symmetric trick": {"LIMEN_SIGNING_ALGORITHM": "HS1"},
    "an empty issuer": {"LIMEN_PUBLIC_URL": ""},
    "an empty audience": {"LIMEN_AUDIENCE": ""},
    "no lifetime": {"LIMEN_ACCESS_TOKEN_LIFETIME": "0s"},
    "an endless lifetime": {"LIMEN_ACCESS_TOKEN_LIFETIME": "9999d"},
    "lifetimes the wrong way round": {"LIMEN_REFRESH_TOKEN_LIFETIME": "10m"},
    "an endless grace": {"LIMEN_REFRESH_REUSE_GRACE": "1h"},
    "a limit that limits nothing": {"LIMEN_LOGIN_LIMIT": "0 per 0s"},
    "trust in everybody": {"LIMEN_TRUSTED_PROXIES": "0.0.0.0/0"},
    "a misspelt option": {"LIMEN_REGISTATION": "closed"},
}


@pytest.mark.parametrize("environ", BROKEN_SETTINGS.values(), ids=BROKEN_SETTINGS)
def test_a_broken_setting_does_not_start(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Settings.from_environment(environ)

    assert refused.value.variable in {*environ, "LIMEN_REFRESH_TOKEN_LIFETIME"}


def open_secret(data: Path) -> None:
    (data / "secret").chmod(0o644)


def short_secret(data: Path) -> None:
    (data / "secret").write_text("short")


def no_database(data: Path) -> None:
    (data / "limen.db").write_bytes(b"not a database, but long enough to be read as one" * 100)


def other_secret(data: Path) -> None:
    (data / "secret").unlink()  # a new one is made, which does not open the keys


BROKEN_DATA: dict[str, Callable[[Path], Any]] = {
    "a secret that everybody may read": open_secret,
    "a short secret": short_secret,
    "the secret lost": other_secret,
}


@pytest.mark.parametrize(
    ("database_url", "damage"),
    [
        *((kind, damage) for kind in ("sqlite", "postgresql") for damage in BROKEN_DATA.values()),
        ("sqlite", no_database),
    ],
    indirect=["database_url"],
)
async def test_a_damaged_data_directory_does_not_start_and_lets_nobody_in(
    settings: Settings, clock: ManualClock, damage: Callable[[Path], Any]
) -> None:
    async with running(settings, clock) as limen, calling_from(limen, "127.0.0.1") as http:
        ada = await somebody(limen, http)
    damage(settings.data_dir)

    damaged = Limen(settings, clock=clock)
    with pytest.raises(ConfigurationError):
        async with damaged.lifespan():
            pass
    transport = httpx2.ASGITransport(standalone.build(damaged), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://limen.test") as http:
        refused = await http.get(f"{AUTH}/me", headers=ada.bearer())

    assert refused.status_code in {401, 503}


async def test_a_limen_that_has_not_started_lets_nobody_in(
    ada: Person, settings: Settings, clock: ManualClock
) -> None:
    idle = Limen(settings, clock=clock)
    transport = httpx2.ASGITransport(standalone.build(idle), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://limen.test") as http:
        with_token = await http.get(f"{AUTH}/me", headers=ada.bearer())
        without = await http.get(f"{AUTH}/me")
        refreshed = await http.post(
            f"{AUTH}/refresh", json={"refresh_token": ada.tokens["refresh_token"]}
        )

    assert [with_token.status_code, without.status_code] == [503, 401]
    assert refreshed.status_code == 500
    assert ada.tokens["refresh_token"] not in refreshed.text
