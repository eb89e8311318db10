"""Every route of the administration is closed to whoever lacks the scope, and tells no secret."""

import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from limen.api import OPEN, OPEN_OPERATIONS
from limen.limen import Limen
from tests.api.admin.conftest import ADMIN, ask
from tests.conftest import on_sqlite
from tests.mailbox import mails
from tests.people import AUTH, PASSWORD, Person
from tests.stored import everything

pytestmark = pytest.mark.anyio

# What no body takes and no answer has a member for.
SECRET = re.compile(r"passw|hash|code|token|secret|sealed|fid|mac\b", re.IGNORECASE)


async def operations(http: httpx2.AsyncClient) -> dict[str, dict[str, Any]]:
    """Return the operations of the administration by their calls, such as "GET /users"."""
    paths: dict[str, dict[str, Any]] = (await http.get("/openapi.json")).json()["paths"]
    return {
        f"{method.upper()} {path.removeprefix(ADMIN)}": operation
        for path, methods in paths.items()
        for method, operation in methods.items()
        if path.startswith(ADMIN)
    }


def members(schema: Any, schemas: dict[str, Any]) -> Iterator[str]:
    """Yield the names of all members below a schema."""
    if isinstance(schema, dict):
        if reference := schema.get("$ref"):
            yield from members(schemas[reference.rpartition("/")[2]], schemas)
        yield from schema.get("properties", {})
        for below in schema.values():
            yield from members(below, schemas)
    elif isinstance(schema, list):
        for below in schema:
            yield from members(below, schemas)


@on_sqlite
async def test_every_route_needs_the_scope(
    limen: Limen, http: httpx2.AsyncClient, ada: Person, root: Person
) -> None:
    calls = await operations(http)
    await limen.features.accounts.set_access(
        ada.user_id, scope="administrator ADMIN", roles="admin"
    )
    await ada.refresh()

    assert len(calls) == 16
    for call, operation in calls.items():
        method, _, path = call.partition(" ")
        url = f"{ADMIN}{re.sub('{.*?}', root.user_id, path)}"
        stranger = await http.request(method, url)
        other = await http.request(method, url, headers=ada.bearer())

        assert operation["security"] == [{"limen": ["admin"]}], call
        assert (stranger.status_code, stranger.json()["code"]) == (401, "missing_token"), call
        assert (other.status_code, other.json()["code"]) == (403, "insufficient_scope"), call
        assert 'scope="admin"' in other.headers["www-authenticate"], call
        assert other.headers["cache-control"] == "no-store", call
    assert (await limen.features.accounts.get(root.user_id)).disabled_at is None


@on_sqlite
async def test_no_name_opens_a_route_of_the_administration(
    limen: Limen, http: httpx2.AsyncClient
) -> None:
    """A handler there may be called like one that is open elsewhere."""
    names = {route.name for route in limen.admin_router.routes}  # type: ignore[attr-defined]

    assert names
    assert not names & {*OPEN, *OPEN_OPERATIONS}
    assert (await http.get(f"{ADMIN}/users")).status_code == 401


@on_sqlite
async def test_an_application_has_it_only_if_it_wants_it(limen: Limen) -> None:
    def paths(*routers: Any) -> set[str]:
        app = FastAPI()
        for router in routers:
            app.include_router(router)
        return {path for path in app.openapi()["paths"] if path.startswith(ADMIN)}

    assert paths(limen.router, limen.operations_router) == set()
    assert len(paths(limen.router, limen.admin_router)) == 14


@on_sqlite
async def test_a_token_without_the_scope_any_more_is_refused_at_once(
    limen: Limen, root: Person
) -> None:
    await limen.features.accounts.set_access(root.user_id, scope="")

    assert (await ask(root, "GET /users")).status_code == 401
    await root.refresh()
    assert (await ask(root, "GET /users")).status_code == 403


@on_sqlite
async def test_the_document_has_no_member_for_a_secret(http: httpx2.AsyncClient) -> None:
    schemas = (await http.get("/openapi.json")).json()["components"]["schemas"]
    for call, operation in (await operations(http)).items():
        taken = operation.get("requestBody", {})
        answered = [
            answer for status, answer in operation["responses"].items() if int(status) < 400
        ]
        names = {*members(taken, schemas), *members(answered, schemas)}
        names |= {parameter["name"] for parameter in operation.get("parameters", [])}

        assert [name for name in names if SECRET.search(name)] == [], call
    assert {*members({"$ref": "#/components/schemas/AccessBody"}, schemas)} == {"scope", "roles"}


@on_sqlite
@pytest.mark.parametrize(
    "member", ["password", "password_hash", "cv", "email", "email_key", "verified_at", "user_id"]
)
async def test_nothing_but_scope_and_roles_can_be_set(
    limen: Limen, root: Person, ada: Person, member: str
) -> None:
    before = await limen.features.accounts.get(ada.user_id)
    answer = await ask(root, f"PATCH /users/{ada.user_id}", {"scope": "x", member: "y"})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert await limen.features.accounts.get(ada.user_id) == before


@on_sqlite
async def test_no_answer_holds_a_secret(
    limen: Limen, http: httpx2.AsyncClient, ada: Person, root: Person
) -> None:
    await http.post(f"{AUTH}/password/forgot", json={"email": ada.email})
    codes = [mail.code for mail in await mails(limen) if mail.code]
    hashes = [(await limen.features.accounts.get(who.user_id)).password_hash for who in (ada, root)]
    secrets = [PASSWORD, *hashes, *ada.tokens.values(), *root.tokens.values(), "$argon2id$"]
    secrets += [part for code in codes for part in (code.token, f'"{code.digits}"')]
    secrets += [key.key.as_dict(private=True)["d"] for key in limen.features.memory.ring.all]
    sid = (await ada.me()).json()["sid"]
    await limen.features.audit.seal()

    assert codes
    assert hashes[0].encode() in await everything(limen)
    for call in sorted(await operations(http), key=lambda call: "rotate" in call):
        path = call.replace("{user_id}", ada.user_id).replace("{sid}", sid)
        body = {"roles": "reader"} if call.startswith("PATCH") else None
        if call.startswith("DELETE /users"):
            continue
        answer = await ask(root, path, body)

        assert answer.status_code in {200, 204, 404}, (call, answer.text)
        assert answer.headers["cache-control"] == "no-store", call
        assert [one for one in secrets if str(one) in answer.text and len(str(one)) > 5] == [], call
