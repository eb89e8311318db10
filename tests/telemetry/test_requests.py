"""One request: one id, one line, one observation, whatever the application does with it."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI, WebSocket
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import get_contextvars

from limen.telemetry.logs import LogFormat
from limen.telemetry.metrics import Metrics
from limen.telemetry.requests import RequestLog
from tests.telemetry.conftest import Logging

pytestmark = pytest.mark.anyio

PASSWORD = "hunter2-correct-horse"
EMAIL = "ada.lovelace@example.com"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ"

log = logging.getLogger("limen.test")


def application() -> FastAPI:
    app, router = FastAPI(), APIRouter()

    @router.get("/things/{number}", name="thing")
    async def thing(number: int) -> int:
        log.info("inside")
        return number

    @router.get("/broken", name="broken")
    async def broken() -> None:
        raise RuntimeError(f"password={PASSWORD} for {EMAIL} with {TOKEN}")

    @router.get("/half", name="half")
    async def half() -> StreamingResponse:
        async def parts() -> Any:
            yield b"half"
            raise RuntimeError("the other half is missing")

        return StreamingResponse(parts())

    @router.get("/later", name="later")
    async def later(tasks: BackgroundTasks) -> str:
        async def fail() -> None:
            raise RuntimeError("too late to tell")

        tasks.add_task(fail)
        return "done"

    @router.websocket("/socket", name="socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        raise RuntimeError("after the handshake")

    app.include_router(router, prefix="/api")
    return app


def client(app: ASGIApp) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test")


async def get(app: ASGIApp, path: str, **headers: str) -> httpx2.Response:
    async with client(app) as connection:
        return await connection.get(path, headers=headers)


async def test_a_request_is_one_line_with_its_routes_name(logging_to: Logging) -> None:
    output = logging_to("json")
    response = await get(RequestLog(application()), "/api/things/7?code=opaque")

    inside, line = output.objects()
    assert line["logger"] == "limen.requests"
    assert (line["event"], line["method"], line["route"]) == ("request", "GET", "thing")
    assert (line["status"], line["path"]) == (200, "/api/things/7")
    assert 0 < line["ms"] < 5000
    assert inside["request_id"] == line["request_id"] == response.headers["X-Request-ID"]
    assert "opaque" not in output.text()
    assert "client" not in line


async def test_the_id_is_gone_when_the_request_is(logging_to: Logging) -> None:
    logging_to("json")
    await get(RequestLog(application()), "/api/things/7")

    assert get_contextvars() == {}


async def test_the_clients_address_is_shown_only_if_asked_for(logging_to: Logging) -> None:
    output = logging_to("json")
    await get(RequestLog(application(), client_address=lambda _: "192.0.2.1"), "/")

    (line,) = output.objects()
    assert line["client"] == "192.0.2.1"


@pytest.mark.parametrize(
    ("given", "accepted"),
    [
        (["abcdefgh"], True),
        (["A-1_2.3" + "x" * 57], True),
        (["abcdefg"], False),
        (["x" * 65], False),
        (["abcdefgh\n"], False),
        (["abcd efgh"], False),
        (['"},{"event":"forged'], False),
        ([EMAIL], False),
        (["abcdefgé"], False),
        (["abcdefgh", "abcdefgi"], False),
        ([], False),
    ],
    ids=["8", "64", "7", "65", "lf", "space", "json", "address", "latin", "two", "none"],
)
async def test_only_a_harmless_id_is_taken_over(given: list[str], accepted: bool) -> None:  # noqa: FBT001
    headers = [(b"X-Request-ID", value.encode("latin-1")) for value in given]
    sent = await converse(RequestLog(answer_hello), http_scope(headers=headers))

    (shown,) = [value for name, value in sent[0]["headers"] if name == b"x-request-id"]
    assert (given != [] and shown == given[0].encode("latin-1")) is accepted
    assert len(shown) >= 8


async def test_the_answer_shows_this_id_and_no_other() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"X-Request-Id", b"somebody-elses"), (b"x-other", b"1")]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body"})

    headers = [(b"x-request-id", b"this-very-one")]
    sent = await converse(RequestLog(app), http_scope(headers=headers))

    assert sent[0]["headers"] == [(b"x-other", b"1"), (b"x-request-id", b"this-very-one")]


async def test_interleaved_requests_keep_their_own_ids(logging_to: Logging) -> None:
    output = logging_to("json")
    everyone = asyncio.Barrier(20)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for step in range(3):
            await everyone.wait()
            log.info("step %d", step, extra={"expected": scope["limen.request_id"]})
        await answer_hello(scope, receive, send)

    wrapped = RequestLog(app)
    responses = await asyncio.gather(
        *(get(wrapped, "/", **{"X-Request-ID": f"request-{number}"}) for number in range(20))
    )

    lines = output.objects()
    steps = [line for line in lines if "expected" in line]
    assert len(steps) == 60
    assert len({line["request_id"] for line in steps}) == 20
    assert all(line["request_id"] == line["expected"] for line in steps)
    assert [r.headers["X-Request-ID"] for r in responses] == [f"request-{n}" for n in range(20)]


@pytest.mark.parametrize("inside", [True, False], ids=["as middleware", "around the application"])
async def test_an_exception_is_logged_once_and_not_shown(
    inside: bool,  # noqa: FBT001  a table's column
    logging_to: Logging,
    any_format: LogFormat,
) -> None:
    output = logging_to(any_format)
    app: Any = application()
    if inside:
        app.add_middleware(RequestLog)
    else:
        app = RequestLog(app)
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Request-ID": "request-1"}
    response = await get(app, f"/api/broken?email={EMAIL}", **headers)

    assert response.status_code == 500
    assert response.headers["X-Request-ID"] == "request-1"
    written = output.text() + response.text
    assert output.text().count("request failed") == 1
    assert output.text().count("RuntimeError: password=") == 1
    for canary in (PASSWORD, EMAIL, "lovelace", TOKEN, "eyJzdWIi"):
        assert canary not in written


async def test_a_problem_is_answered_where_nothing_was_sent(logging_to: Logging) -> None:
    output = logging_to("json")
    metrics = Metrics()
    sent = await converse(RequestLog(fail, metrics), http_scope())

    start, body = sent
    headers = dict(start["headers"])
    document = json.loads(body["body"])
    assert start["status"] == 500
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"content-length"] == str(len(body["body"])).encode()
    assert headers[b"cache-control"] == b"no-store"
    assert document["code"] == "internal_error"
    assert document["request_id"].encode() == headers[b"x-request-id"]
    failed, line = output.objects()
    assert (failed["level"], failed["kind"]) == ("error", "RuntimeError")
    assert failed["request_id"] == line["request_id"] == document["request_id"]
    assert line["status"] == 500
    assert counted(metrics) == ['{method="GET",route="unknown",status="500"} 1.0']


async def test_the_problem_has_no_body_for_head() -> None:
    sent = await converse(RequestLog(fail), http_scope(method="HEAD"))

    assert sent[0]["status"] == 500
    assert sent[1]["body"] == b""


async def test_half_an_answer_is_not_passed_off_as_a_whole_one(logging_to: Logging) -> None:
    output = logging_to("json")
    with pytest.raises(RuntimeError, match="other half"):
        await get(RequestLog(application()), "/api/half")

    failed, line = output.objects()
    assert failed["event"] == "request failed"
    assert (line["route"], line["status"]) == ("half", 200)


async def test_a_background_task_that_fails_spoils_no_answer(logging_to: Logging) -> None:
    output = logging_to("json")
    response = await get(RequestLog(application()), "/api/later")

    assert response.status_code == 200
    line, failed = output.objects()
    assert (line["status"], failed["event"]) == (200, "request failed")


async def test_a_client_that_left_is_accounted_for(logging_to: Logging) -> None:
    output = logging_to("json")

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await asyncio.Event().wait()

    metrics = Metrics()
    task = asyncio.create_task(converse(RequestLog(app, metrics), http_scope()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [line["status"] for line in output.objects()] == [499]
    assert counted(metrics) == ['{method="GET",route="unknown",status="499"} 1.0']


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/api/things/7", "thing", 200),
        ("GET", "/api/things/x", "thing", 422),
        ("POST", "/api/things/7", "thing", 405),
        ("GET", "/api/nothing", "unknown", 404),
        ("GET", "/" + "x" * 50, "unknown", 404),
        ("BREW", "/", "unknown", 404),
    ],
)
async def test_metrics_know_the_route_by_name(
    method: str, path: str, route: str, status: int
) -> None:
    metrics = Metrics()
    async with client(RequestLog(application(), metrics)) as connection:
        await connection.request(method, path)

    shown = "other" if method == "BREW" else method
    expected = f'{{method="{shown}",route="{route}",status="{status}"}} 1.0'
    assert counted(metrics) == [expected]


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (f"/reset/{TOKEN}", "/reset/[redacted]"),
        (f"/confirm/{EMAIL}", "/confirm/[redacted]"),
        ("/a\r\nb\x1b[2K\u202e", "/a\\r\\nb\\x1b[2K\\u202e"),
        ("/" + "x" * 70_000, "/" + "x" * 127),
        (f"/{'x' * 110}/{TOKEN}", f"/{'x' * 110}/[redacted]"),
    ],
    ids=["token", "address", "controls", "long", "token at the edge"],
)
async def test_a_path_is_shown_harmless_and_short(
    path: str, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="limen"):
        await converse(RequestLog(answer_hello), http_scope(path=path))

    (record,) = caplog.records
    assert vars(record)["path"] == shown


async def test_a_handshake_is_told_when_it_is_decided(logging_to: Logging) -> None:
    output = logging_to("json")
    metrics = Metrics()
    sent = await converse(RequestLog(application(), metrics), websocket_scope("/api/socket"))

    accepted, closed = sent
    assert accepted["type"] == "websocket.accept"
    assert dict(accepted["headers"])[b"x-request-id"]
    assert (closed["type"], closed["code"]) == ("websocket.close", 1011)
    line, failed = output.objects()
    assert (line["method"], line["route"], line["status"]) == ("WEBSOCKET", "socket", 101)
    assert failed["request_id"] == line["request_id"]
    assert counted(metrics) == ['{method="WEBSOCKET",route="socket",status="101"} 1.0']


@pytest.mark.parametrize(
    ("extensions", "kinds", "status"),
    [
        ({}, ["websocket.close"], 403),
        (
            {"websocket.http.response": {}},
            ["websocket.http.response.start", "websocket.http.response.body"],
            500,
        ),
    ],
    ids=["close", "response"],
)
async def test_a_handshake_that_fails_is_answered(
    extensions: dict[str, object], kinds: list[str], status: int, logging_to: Logging
) -> None:
    output = logging_to("json")
    sent = await converse(RequestLog(fail), websocket_scope("/", extensions=extensions))

    assert [message["type"] for message in sent] == kinds
    assert [line.get("status") for line in output.objects()] == [None, status]


async def test_a_refused_handshake_is_told_with_its_status(logging_to: Logging) -> None:
    output = logging_to("json")
    await converse(RequestLog(application()), websocket_scope("/nowhere"))

    (line,) = output.objects()
    assert (line["route"], line["status"]) == ("unknown", 403)


async def test_other_scopes_are_only_passed_on(logging_to: Logging) -> None:
    output = logging_to("json")
    with pytest.raises(RuntimeError):
        await converse(RequestLog(fail), {"type": "lifespan"})

    assert output.text() == ""


async def test_it_costs_little(logging_to: Logging) -> None:
    output = logging_to("json", "info")
    scope = http_scope(path="/api/v1/auth/me")

    async def seconds(app: ASGIApp, requests: int = 500) -> float:
        began = time.process_time()
        for _ in range(requests):
            await converse(app, dict(scope))
        return (time.process_time() - began) / requests

    plain = min([await seconds(answer_hello) for _ in range(3)])
    logged = min([await seconds(RequestLog(answer_hello, Metrics())) for _ in range(3)])
    logging.getLogger("limen.requests").setLevel(logging.WARNING)
    quiet = min([await seconds(RequestLog(answer_hello, Metrics())) for _ in range(3)])
    logging.getLogger("limen.requests").setLevel(logging.NOTSET)

    print(
        f"a request costs {1e6 * (logged - plain):.0f} microseconds with its line, "
        f"{1e6 * (quiet - plain):.0f} without"
    )
    assert len(output.lines()) == 1500
    assert logged - plain < 0.002  # a guard against a blunder; the figure is the line above


def http_scope(
    *, method: str = "GET", path: str = "/", headers: list[tuple[bytes, bytes]] | None = None
) -> Scope:
    return {"type": "http", "method": method, "path": path, "headers": headers or []}


def websocket_scope(path: str, *, extensions: dict[str, object] | None = None) -> Scope:
    return {
        "type": "websocket",
        "path": path,
        "headers": [],
        "query_string": b"",
        "extensions": extensions or {},
    }


async def converse(app: Callable[[Any, Any, Any], Awaitable[None]], scope: Scope) -> list[Message]:
    """Return what the application sends to a client that connects and says no more."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect" if scope["type"] == "websocket" else "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def answer_hello(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("hello")(scope, receive, send)


async def fail(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise RuntimeError("failed on purpose")


def counted(metrics: Metrics) -> list[str]:
    lines = metrics.render()[0].decode().splitlines()
    name = "limen_http_requests_total"
    return [line.removeprefix(name) for line in lines if line.startswith(name)]
