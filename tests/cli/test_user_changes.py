"""`limen users`: what changes an account, and what a running server makes of it."""

import asyncio
import json
from pathlib import Path

import pytest

from limen.limen import Limen
from limen.settings import Settings
from tests.cli.conftest import Call
from tests.cli.test_users import ADA, create
from tests.conftest import CHEAPEST
from tests.people import calling_from, somebody


@pytest.mark.parametrize(("verb", "member"), [("set-scope", "scope"), ("set-roles", "roles")])
def test_scopes_and_roles_are_set_and_taken_away(call: Call, verb: str, member: str) -> None:
    create(call)

    assert json.loads(call("users", verb, ADA, "one", "two", "--json").stdout)[member] == "one two"
    assert json.loads(call("users", "show", ADA, "--json").stdout)[member] == "one two"
    assert call("users", verb, ADA).stdout.endswith(": none.\n")
    assert json.loads(call("users", "show", ADA, "--json").stdout)[member] == ""


@pytest.mark.parametrize("words", [['a"b'], ["two words", "é"], ["a" * 1025], ["\x1b[2J"], [""]])
@pytest.mark.parametrize("verb", ["set-scope", "set-roles"])
def test_words_that_no_token_could_carry_are_refused(
    call: Call, verb: str, words: list[str]
) -> None:
    before = create(call)
    result = call("users", verb, ADA, "--json", "good", *words)

    assert (result.exit_code, result.stdout) == (1, "")
    assert json.loads(result.stderr)["error"]["code"] == "invalid_request"
    assert json.loads(call("users", "show", ADA, "--json").stdout) == before


def test_the_last_administrator_can_be_removed_by_the_operator(call: Call) -> None:
    create(call, ADA, "--admin")

    assert json.loads(call("users", "set-scope", ADA, "--json").stdout)["scope"] == ""
    assert call("users", "delete", ADA).stdout == f"Deleted {ADA}.\n"
    assert call("users", "list").stdout == "There are no accounts.\n"


def test_a_deleted_account_leaves_its_address_free(call: Call) -> None:
    first = create(call)
    assert json.loads(call("users", "delete", ADA, "--json").stdout) == first

    assert create(call)["user_id"] != first["user_id"]
    assert call("users", "delete", first["user_id"]).exit_code == 1


def test_who_needs_a_new_password_is_shown(call: Call) -> None:
    create(call)
    required = json.loads(call("users", "require-reset", ADA, "--json").stdout)

    assert required["reset_required_at"] is not None
    assert "reset required" in call("users", "list").stdout
    assert call("users", "set-password", ADA, stdin="another good password").exit_code == 0
    assert json.loads(call("users", "show", ADA, "--json").stdout)["reset_required_at"] is None


def test_a_server_obeys_what_the_command_line_changes(call: Call, data: Path) -> None:
    """The old access token is refused, and the next one says what the account may do now."""

    async def story() -> None:
        limen = Limen(Settings(data_dir=data, signing_algorithm="ES256"), cost=CHEAPEST)
        async with limen.lifespan(), calling_from(limen, "192.0.2.1") as http:
            ada = await somebody(limen, http)
            await asyncio.to_thread(call, "users", "set-scope", ADA, "orders")
            await asyncio.to_thread(call, "users", "set-roles", ADA, "editor")
            await limen.features.following.catch_up()
            assert (await ada.me()).status_code == 401
            assert (await ada.refresh()).status_code == 200
            claims = limen.verifier.check(ada.tokens["access_token"])
            assert ([*claims.scopes], [*claims.roles]) == (["orders"], ["editor"])

    asyncio.run(story())
