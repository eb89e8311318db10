"""E6, Ory Kratos: a random sleep in place of the hash, which averages out over enough samples.

The answer about an address that nobody has takes the time of a hash because one is computed, as
dear as any other. Nothing that a request does is a pause, for anybody.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import httpx2
import pytest

from limen.events import Event
from limen.limen import Limen
from tests.attacks.test_e01_timing_of_states import CALLS
from tests.conftest import on_postgresql
from tests.crowds import hashes
from tests.people import PASSWORD, calling_from, guess

pytestmark = [pytest.mark.anyio, on_postgresql]  # with SQLite, a writer may poll for its turn

KNOWN, UNKNOWN = "ada@example.com", "nobody@example.com"

_IS_REQUEST = ContextVar("_IS_REQUEST", default=False)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the requests of this test have slept, in seconds; limen's own rounds may."""
    found: list[float] = []
    sleep, block = asyncio.sleep, time.sleep

    async def noticed(seconds: float, *arguments: Any) -> Any:
        if _IS_REQUEST.get():
            found.append(seconds)
        return await sleep(seconds, *arguments)

    def blocking(seconds: float) -> None:
        found.append(seconds)
        block(seconds)

    monkeypatch.setattr(asyncio, "sleep", noticed)
    monkeypatch.setattr(time, "sleep", blocking)
    return found


@pytest.mark.parametrize("email", [KNOWN, UNKNOWN])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_no_request_pauses(
    limen: Limen,
    pauses: list[float],
    call: Callable[[httpx2.AsyncClient, str], Awaitable[httpx2.Response]],
    email: str,
) -> None:
    await limen.features.accounts.create(KNOWN, PASSWORD)
    async with calling_from(limen, "198.51.100.7") as stranger:
        pauses.clear()
        _IS_REQUEST.set(True)
        await call(stranger, email)

        assert pauses == []
        await asyncio.sleep(0)
        assert pauses == [0]  # it would have been noticed


@pytest.mark.parametrize("email", [KNOWN, UNKNOWN])
async def test_each_wrong_password_is_a_hash(
    limen: Limen, happened: list[Event], email: str
) -> None:
    await limen.features.accounts.create(KNOWN, PASSWORD)
    happened.clear()
    async with calling_from(limen, "198.51.100.7") as stranger:
        for number in range(1, 6):
            assert (await guess(stranger, email)).status_code == 401
            assert hashes(happened) == number
