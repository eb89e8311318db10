"""/users: an administrator finds accounts and decides what they may do, and the trail says so."""

import json
from datetime import datetime
from typing import Any

import httpx2
import pytest

from limen.app import build as standalone
from limen.limen import Limen
from tests.api.admin.conftest import ask
from tests.clock import ManualClock
from tests.conftest import on_sqlite
from tests.people import Person, attempt, somebody

pytestmark = pytest.mark.anyio


async def trail(limen: Limen, root: Person, kind: str) -> list[dict[str, Any]]:
    """Return what the administrator is said to have done of a kind, the oldest first."""
    await limen.features.audit.seal()
    query = {"actor": f"account:{root.user_id}", "kind": kind, "order": "oldest_first"}
    entries: list[dict[str, Any]] = (await ask(root, "GET /audit", **query)).json()["entries"]
    return entries


async def test_an_account_is_shown(limen: Limen, root: Person) -> None:
    ada = await somebody(limen, root.http, "Ada@Example.com", scope="orders")
    shown = (await ask(root, f"GET /users/{ada.user_id}")).json()

    assert datetime.fromisoformat(shown.pop("created_at")).year == 2026
    assert shown == {
        "user_id": ada.user_id,
        "email": "Ada@example.com",
        "scope": "orders",
        "roles": "",
        "state": "active",
        "verified_at": None,
        "disabled_at": None,
        "reset_required_at": None,
    }
    found = (await ask(root, "GET /users", prefix="ADA@")).json()
    assert [user["user_id"] for user in found["users"]] == [ada.user_id]
    assert found["next"] is None


@on_sqlite
async def test_pages_are_read_to_their_end(limen: Limen, root: Person) -> None:
    for number in range(5):
        await limen.features.accounts.create(f"user{number}@example.com", f"a good one {number}")
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await ask(root, "GET /users", prefix="user", limit=2, after=cursor)).json()
        seen += [user["email"] for user in page["users"]]
        cursor = page["next"]

    assert seen == [f"user{number}@example.com" for number in range(5)]


@on_sqlite
@pytest.mark.parametrize(
    "query",
    [
        {"prefx": "ada"},
        {"prefix": "nul\0"},
        {"limit": 0},
        {"limit": 101},
        {"limit": "many"},
        {"state": "deleted"},
        {"after": "nonsense"},
        {"after": "!"},
        {"after": "e30"},
        {"after": "IgBcdTAwMDAi"},
    ],
)
async def test_a_mistaken_question_is_refused(root: Person, query: dict[str, Any]) -> None:
    answer = await ask(root, "GET /users", **query)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert (await ask(root, f"GET /users/{root.user_id}", **query)).status_code == 422


async def test_what_an_account_may_do_changes_at_once_and_no_session_ends(
    limen: Limen, twin: Limen, root: Person, ada: Person
) -> None:
    elsewhere = httpx2.ASGITransport(standalone(twin))
    async with httpx2.AsyncClient(transport=elsewhere, base_url="http://limen.test") as other:
        assert (await Person(other, "", "", tokens=ada.tokens).me()).status_code == 200
        changed = await ask(
            root, f"PATCH /users/{ada.user_id}", {"scope": "orders", "roles": "editor reader"}
        )
        await twin.features.following.catch_up()
        there = await Person(other, "", "", tokens=ada.tokens).me()

    assert (changed.json()["scope"], changed.json()["roles"]) == ("orders", "editor reader")
    assert [(await ada.me()).status_code, there.status_code] == [401, 401]
    sid = limen.verifier.authenticate(ada.tokens["access_token"]).sid
    assert (await ada.refresh()).status_code == 200
    claims = limen.verifier.check(ada.tokens["access_token"])
    assert (sorted(claims.scopes), sorted(claims.roles)) == (["orders"], ["editor", "reader"])
    assert claims.sid == sid
    (entry,) = await trail(limen, root, "account.changed")
    assert entry["outcome"] == "access_changed"
    assert entry["detail"] == {"scope": "orders", "roles": "editor reader"}
    assert entry["user_id"] == ada.user_id


async def test_each_change_is_made_and_recorded_as_the_administrators(
    limen: Limen, root: Person, ada: Person, clock: ManualClock
) -> None:
    changes = {
        "end-sessions": ("active", "sessions_ended"),
        "disable": ("disabled", "disabled"),
        "enable": ("active", "enabled"),
        "require-reset": ("reset_required", "reset_required"),
    }
    for verb, (state, _) in changes.items():
        clock.tick(1)
        answer = await ask(root, f"POST /users/{ada.user_id}/{verb}")
        assert (answer.status_code, answer.json()["state"]) == (200, state)
    assert (await ada.refresh()).status_code == 401
    assert (await ada.sign_in()).status_code == 401
    clock.tick(1)
    assert (await ask(root, f"DELETE /users/{ada.user_id}")).status_code == 204
    assert (await ask(root, f"GET /users/{ada.user_id}")).json()["code"] == "account_not_found"
    assert (await attempt(root.http, ada.email)).status_code == 401

    recorded = [
        entry["outcome"]
        for entry in await trail(limen, root, "account.changed")
        if entry["user_id"] == ada.user_id
    ]
    assert recorded == [*(change for _, change in changes.values()), "deleted"]


@pytest.mark.parametrize("call", ["POST /disable", "POST /require-reset", "DELETE ", "PATCH "])
async def test_the_last_administrator_stays(limen: Limen, root: Person, call: str) -> None:
    method, _, verb = call.partition(" ")
    body = {"scope": ""} if method == "PATCH" else None
    refused = await ask(root, f"{method} /users/{root.user_id}{verb}", body)

    assert (refused.status_code, refused.json()["code"]) == (409, "last_administrator")
    assert (await ask(root, "GET /users")).status_code == 200
    other = await somebody(limen, root.http, "other@example.com", scope="orders admin")
    gone = await ask(root, f"{method} /users/{root.user_id}{verb}", body)
    assert gone.status_code in {200, 204}
    assert (await ask(root, "GET /users")).status_code == 401
    assert (await ask(other, "GET /users")).status_code == 200


@on_sqlite
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"scope": None},
        {"scope": 'a"b'},
        {"scope": "a  b"},
        {"roles": "é"},
        {"roles": ["a"]},
        [],
    ],
    ids=json.dumps,
)
async def test_scopes_that_no_token_could_carry_are_refused(
    root: Person, ada: Person, body: object
) -> None:
    answer = await ask(root, f"PATCH /users/{ada.user_id}", body)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert (await ada.me()).status_code == 200


@on_sqlite
@pytest.mark.parametrize("user_id", ["0" * 32, "nobody", "%00", "a" * 65, "%2e%2e"])
async def test_who_is_not_there_is_not_found(root: Person, user_id: str) -> None:
    assert (await ask(root, f"GET /users/{user_id}")).status_code in {404, 422}
    assert (await ask(root, f"POST /users/{user_id}/disable")).status_code in {404, 422}
    assert (await ask(root, f"DELETE /users/{user_id}")).status_code in {404, 422}
