"""A database that can be read and not written: who is in stays in, and nobody else gets in.

Guarded routes go on, because they need no write; whoever was signed out stays signed out. What
needs a write is answered 503 and has not happened. When there is room again, so is service:
nothing is restarted. How the storage is taken away is told in `tests.faults.storage`.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import product

import httpx2
import pytest

from limen.database.schema import accounts, sessions
from limen.limen import Limen
from tests.conftest import on_sqlite
from tests.faults.ledger import payload
from tests.faults.storage import Fault, full, read_only
from tests.people import AUTH, PASSWORD, Person, guess, somebody
from tests.refusals import problem
from tests.stored import rows

pytestmark = pytest.mark.anyio


async def register(person: Person) -> httpx2.Response:
    body = {"email": "new@example.com", "password": PASSWORD}
    return await person.http.post(f"{AUTH}/register", json=body)


# What needs a write, and how it is answered when there is room for it.
WRITES: dict[str, tuple[Callable[[Person], Awaitable[httpx2.Response]], int]] = {
    "registration": (register, 201),
    "sign-in": (Person.sign_in, 200),
    "wrong password": (lambda person: guess(person.http, person.email), 401),
    "refresh": (Person.refresh, 200),
    "refresh with a key": (lambda person: person.refresh(key="retry-key-of-ada"), 200),
    "logout": (Person.log_out, 204),
}


faults = pytest.mark.parametrize("fault", [read_only, full])
needs_room = pytest.mark.parametrize(
    ("database_url", "fault", "name"),
    [
        (database, fault, name)
        for database, fault, name in product(["sqlite", "postgresql"], [read_only, full], WRITES)
        if (database, fault) != ("sqlite", full) or not name.startswith("refresh")
    ],
    indirect=["database_url"],
)


def assert_503(answer: httpx2.Response) -> None:
    found = problem(answer.status_code, answer.headers, answer.content, expected={503})
    assert found["code"] == "database_unavailable"
    assert int(answer.headers["Retry-After"]) > 0


@faults
async def test_guarded_routes_go_on(limen: Limen, ada: Person, fault: Fault) -> None:
    eve = await somebody(limen, ada.http, "eve@example.com")
    await eve.log_out()
    async with fault(limen):
        good = Counter([(await ada.me()).status_code for _ in range(20)])
        ended = Counter([(await eve.me()).status_code for _ in range(20)])
        await limen.features.log.pull()  # what others revoke is heard of all the same

    print(f"good tokens: {dict(good)}, those of an ended session: {dict(ended)}")
    assert (good, ended) == ({200: 20}, {401: 20})


@needs_room
async def test_what_needs_a_write_is_503_until_there_is_room_again(
    limen: Limen, ada: Person, fault: Fault, name: str
) -> None:
    write, answered = WRITES[name]
    before = await rows(limen, sessions), await rows(limen, accounts)
    async with fault(limen):
        for _ in range(3):
            assert_503(await write(ada))
        assert (await rows(limen, sessions), await rows(limen, accounts)) == before

    again = await write(ada)
    if again.status_code == 503:  # its connection had begun read-only: now it is given up
        again = await write(ada)
    assert again.status_code == answered
    assert (await ada.sign_in()).status_code == 200


@on_sqlite
async def test_a_refresh_goes_on_where_the_disk_is_full(limen: Limen, ada: Person) -> None:
    """It rewrites its row in place, and hands out what is committed."""
    async with full(limen):
        assert (await ada.refresh()).status_code == 200
        (row,) = await rows(limen, sessions)
        assert row.gen == payload(ada.tokens["refresh_token"])["gen"] == 1
