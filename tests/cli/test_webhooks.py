"""`limen webhooks`: the secret is shown once, and what became of each message can be seen."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from limen.verify.webhooks import Message, verify
from tests.cli.conftest import Call
from tests.loopback import serving
from tests.people import PASSWORD

URL = "https://crm.example.com/limen"


@pytest.fixture(autouse=True)
def ada(call: Call) -> str:
    """An account, and with it a database."""
    made = json.loads(call("users", "create", "ada@example.com", "--json", stdin=PASSWORD).stdout)
    return str(made["user_id"])


class Receiver:
    """An application that answers with `status`, and keeps what came."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.came: list[tuple[dict[str, str], bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        self.came.append((dict(request.headers), await request.body()))
        await Response(status_code=self.status)(scope, receive, send)

    def message(self, secret: str) -> Message:
        headers, body = self.came[-1]
        return verify(headers, body, secret)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    with serving(receiver, lifespan="off") as port:
        receiver.url = f"http://127.0.0.1:{port}/"
        yield receiver


def create(call: Call, url: str = URL, *kinds: str) -> dict[str, Any]:
    events = [word for kind in kinds or ("account.changed",) for word in ("--event", kind)]
    result = call("webhooks", "create", url, *events, "--json")
    assert result.exit_code == 0, result.stderr
    made: dict[str, Any] = json.loads(result.stdout)
    return made


def listed(call: Call) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(call("webhooks", "list", "--json").stdout)
    return found


def test_the_secret_is_shown_once(call: Call, data: Path) -> None:
    made = create(call, URL, "sign_in", "account.changed")
    secret = made.pop("secret")

    assert listed(call) == [made]
    assert made["events"] == ["account.changed", "sign_in"]
    assert secret not in call("webhooks", "list").stdout
    assert not any(secret.encode() in file.read_bytes() for file in data.iterdir())


def test_a_person_is_shown_the_id_and_the_secret(call: Call) -> None:
    result = call("webhooks", "create", URL, "--event", "sign_in")
    names = [line.split()[0] for line in result.stdout.splitlines()]

    assert names == ["id", "secret"]
    assert "it cannot be shown again" in result.stderr


def test_without_an_event_it_says_which_there_are(call: Call) -> None:
    for words in ([], ["--event", "nothing"]):
        result = call("webhooks", "create", URL, *words)
        assert result.exit_code == 1
        assert "account.registered" in result.stderr
    assert call("webhooks", "list").stdout == "There are no webhooks.\n"


def test_an_address_that_others_can_read_along_with_is_refused(call: Call) -> None:
    result = call("webhooks", "create", "http://crm.example.com/", "--event", "sign_in")

    assert result.exit_code == 1
    assert "use https" in result.stderr


def test_it_is_disabled_enabled_and_deleted(call: Call) -> None:
    webhook = create(call)["id"]
    states = [listed(call)[0]["disabled_at"] is not None]
    for verb in ("disable", "enable"):
        assert call("webhooks", verb, webhook).exit_code == 0
        states.append(listed(call)[0]["disabled_at"] is not None)
    assert states == [False, True, False]
    assert webhook in call("webhooks", "list").stdout

    assert call("webhooks", "delete", webhook).exit_code == 0
    assert listed(call) == []


@pytest.mark.parametrize("verb", ["delete", "disable", "enable", "test", "rotate-secret"])
def test_who_is_not_there_is_said_so(call: Call, verb: str) -> None:
    result = call("webhooks", verb, "0" * 32)

    assert result.exit_code == 1
    assert "limen webhooks list" in result.stderr


def test_a_test_is_posted_and_its_answer_shown(call: Call, receiver: Receiver) -> None:
    made = create(call, receiver.url)
    assert call("webhooks", "test", made["id"]).stdout == "Taken: 200\n"
    assert receiver.message(made["secret"]).type == "test"

    receiver.status = 503
    refused = call("webhooks", "test", made["id"])
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "It was not taken: 503." in refused.stderr


def test_a_new_secret_signs_beside_the_one_before(call: Call, receiver: Receiver) -> None:
    made = create(call, receiver.url)
    rotated = json.loads(call("webhooks", "rotate-secret", made["id"], "--json").stdout)
    call("webhooks", "test", made["id"])

    assert rotated["secret"] != made["secret"]
    assert receiver.message(rotated["secret"]) == receiver.message(made["secret"])


def test_what_a_command_does_waits_for_a_server(call: Call, ada: str) -> None:
    assert call("webhooks", "deliveries").stdout == "Nothing has been sent of late.\n"
    webhook, other = create(call)["id"], create(call, URL, "sign_in")["id"]
    call("users", "disable", ada)
    (letter,) = json.loads(call("webhooks", "deliveries", webhook, "--json").stdout)

    assert (letter["webhook"], letter["event"]) == (webhook, "account.changed")
    assert (letter["outcome"], letter["attempts"]) == ("waiting", 0)
    assert letter["id"] in call("webhooks", "deliveries").stdout
    assert json.loads(call("webhooks", "deliveries", other, "--json").stdout) == []
