"""`limen token inspect`: what a token says, and whether and why it would be refused."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import anyio.from_thread
import httpx2
import pytest
from anyio.from_thread import BlockingPortal

from limen import app
from limen.limen import Limen
from limen.settings import Settings
from tests.cli.conftest import Call
from tests.conftest import CHEAPEST
from tests.people import Person, somebody

YEAR_2100 = 4_102_444_800_000_000


@dataclass
class Running:
    """A limen that runs beside the command line, with somebody signed in."""

    portal: BlockingPortal
    limen: Limen
    ada: Person

    @property
    def access(self) -> str:
        return str(self.ada.tokens["access_token"])

    @property
    def refresh(self) -> str:
        return str(self.ada.tokens["refresh_token"])


@pytest.fixture
def running(call: Call) -> Iterator[Running]:  # noqa: ARG001  for its environment
    limen = Limen(Settings.from_environment(), cost=CHEAPEST)
    transport = httpx2.ASGITransport(app.build(limen))
    http = httpx2.AsyncClient(transport=transport, base_url="http://limen.test")
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(limen.lifespan()),
        portal.wrap_async_context_manager(http),
    ):
        yield Running(portal, limen, portal.call(somebody, limen, http))


def inspected(call: Call, token: str) -> dict[str, Any]:
    result = call("token", "inspect", "--json", stdin=token)
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def forged(token: str, **claims: object) -> str:
    """Return the token with other claims under the same signature."""
    header, payload, signature = token.split(".")
    said = json.loads(base64.urlsafe_b64decode(payload + "=="))
    changed = base64.urlsafe_b64encode(json.dumps(said | claims).encode()).decode().rstrip("=")
    return f"{header}.{changed}.{signature}"


def test_a_good_access_token_is_decoded_and_accepted(call: Call, running: Running) -> None:
    found = inspected(call, f"Bearer {running.access}\n")

    assert found["kind"] == "access"
    assert found["header"]["alg"] == "ES256"
    assert found["claims"]["user_id"] == running.ada.user_id
    assert (found["signature_good"], found["accepted"], found["reason"]) == (True, True, None)


def test_a_person_reads_when_it_expires_and_what_limen_thinks(call: Call, running: Running) -> None:
    lines = call("token", "inspect", stdin=running.access).stdout.splitlines()

    assert lines[0] == "An access token"
    assert any(line.split()[0:1] == ["exp"] and line.endswith("Z)") for line in lines)
    assert lines[-2:] == [
        "Signature   good: made by this limen",
        "Verdict     accepted: This limen takes it.",
    ]


def test_an_ended_session_refuses_both_of_its_tokens(call: Call, running: Running) -> None:
    running.portal.call(running.ada.log_out)

    access, refresh = inspected(call, running.access), inspected(call, running.refresh)
    assert (access["accepted"], access["reason"]) == (False, "ended")
    assert (refresh["accepted"], refresh["reason"]) == (False, "ended")
    assert "(logout)" in refresh["detail"]
    assert access["signature_good"]
    assert refresh["signature_good"]


def test_a_changed_token_is_refused_by_its_signature(call: Call, running: Running) -> None:
    access = inspected(call, forged(running.access, scope="admin"))
    refresh = inspected(call, forged(running.refresh, gen=7))

    assert (access["signature_good"], access["reason"]) == (False, "bad_signature")
    assert (refresh["signature_good"], refresh["reason"]) == (False, "bad_seal")


def test_an_expired_token_is_said_to_be_one(
    call: Call, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("opening", "inspection"):
        monkeypatch.setattr(f"limen.cli.{module}.system_clock", lambda: YEAR_2100)
    access, refresh = inspected(call, running.access), inspected(call, running.refresh)

    assert (access["reason"], access["signature_good"]) == ("expired", True)
    assert (refresh["reason"], refresh["signature_good"]) == ("expired", True)


def test_a_token_of_another_issuer_is_said_to_be_one(
    call: Call, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMEN_PUBLIC_URL", "https://login.example.com")

    assert inspected(call, running.access)["reason"] == "wrong_issuer"
    assert inspected(call, running.refresh)["reason"] == "bad_seal"


def test_inspecting_a_refresh_token_hides_its_secret_and_does_not_use_it(
    call: Call, running: Running
) -> None:
    found = inspected(call, running.refresh)
    secret = json.loads(base64.urlsafe_b64decode(running.refresh.split(".")[1] + "=="))["fid"]

    assert (found["kind"], found["accepted"]) == ("refresh", True)
    assert found["claims"]["fid"] == "hidden"
    assert secret not in call("token", "inspect", stdin=running.refresh).stdout
    assert running.portal.call(running.ada.refresh).status_code == 200


def test_a_used_refresh_token_is_said_to_be_one(call: Call, running: Running) -> None:
    used = running.refresh
    running.portal.call(running.ada.refresh)

    assert inspected(call, used)["reason"] == "used"
    assert inspected(call, running.refresh)["accepted"]


@pytest.mark.parametrize(
    "token",
    [
        "no token",
        "a.b.c",
        "e30.e30.AA",
        "bnVsbA.bnVsbA.AA",
        "\x1b[2J.\x07.é",
        "x" * 70000,
        "eyJ0eXAiOiJydCtqd3QifQ.eyJmaWQiOiJ4In0.AA",
        "eyJ0eXAiOlsxXX0.eyJleHAiOjk5OTk5OTk5OTk5OTk5OX0.AA",
        "eyJ0eXAiOiJcdTAwMWJbMkoifQ.eyJcdTAwMWIiOiJcdTAwMWJbMkoifQ.AA",
    ],
)
def test_whatever_is_no_token_is_refused_in_words(call: Call, running: Running, token: str) -> None:
    assert running.access
    assert not inspected(call, token)["accepted"]
    shown = call("token", "inspect", stdin=token)
    assert "Verdict     refused: " in shown.stdout
    assert shown.stdout.replace("\n", "").isprintable()


def test_nothing_on_standard_input_is_a_failure(call: Call, running: Running) -> None:
    assert running.access
    assert call("token", "inspect").exit_code == 1
