"""/audit: an administrator asks the trail, by whom, by what and by when, a page at a time."""

from typing import Any

import pytest

from limen.limen import Limen
from tests.api.admin.conftest import ask
from tests.clock import ManualClock
from tests.conftest import on_sqlite
from tests.people import Person, guess

pytestmark = pytest.mark.anyio


async def entries(root: Person, **query: object) -> list[dict[str, Any]]:
    answer = await ask(root, "GET /audit", **query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["entries"]
    return found


async def test_the_trail_is_asked_by_account_kind_outcome_and_time(
    limen: Limen, root: Person, ada: Person, clock: ManualClock
) -> None:
    await guess(root.http, ada.email)
    clock.tick(60)
    since = "1970-01-01T00:00:00Z"
    await ada.log_out()
    await limen.features.audit.seal()

    kinds = [entry["kind"] for entry in await entries(root, user_id=ada.user_id)]
    assert kinds == ["session.ended", "sign_in", "sign_in", "account.registered"]
    (failed,) = await entries(root, kind="sign_in", outcome="invalid_credentials")
    assert (failed["user_id"], failed["actor"], failed["address"]) == (
        *(ada.user_id, "anonymous"),
        "127.0.0.1",
    )
    (ended,) = await entries(root, kind="session.ended")
    assert await entries(root, since=ended["at"]) == [ended]
    assert ended not in await entries(root, until=ended["at"])
    assert len(await entries(root, since=since, sid=ended["sid"])) == 2
    assert await entries(root, until="1970-01-01T00:00:00.5+01:00") == []


@on_sqlite
@pytest.mark.parametrize("order", ["newest_first", "oldest_first"])
async def test_pages_follow_each_other_in_both_orders(
    limen: Limen, root: Person, ada: Person, order: str
) -> None:
    for _ in range(3):
        await ada.sign_in()
    await limen.features.audit.seal()
    seen: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await ask(root, "GET /audit", limit=2, order=order, after=cursor)).json()
        seen += [entry["seq"] for entry in page["entries"]]
        cursor = page["next"]

    assert seen == sorted(seen, reverse=order == "newest_first")
    assert len(seen) == len(set(seen)) >= 7


@on_sqlite
@pytest.mark.parametrize(
    "query",
    [
        {"since": "yesterday"},
        {"since": "2026-02-30T00:00:00Z"},
        {"since": "2026-01-01T00:00:00"},
        {"until": "2026-01-01"},
        {"user": "x"},
        {"order": "random"},
        {"after": "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA"},
        {"user_id": "\0"},
    ],
)
async def test_a_mistaken_question_is_refused(root: Person, query: dict[str, str]) -> None:
    answer = await ask(root, "GET /audit", **query)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
