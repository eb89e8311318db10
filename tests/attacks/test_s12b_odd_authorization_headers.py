"""S12, GHSA-xmf8-cvqr-rfgj: no Authorization header, however odd, lets anybody in or is a 500.

Mutations of a good header and plain noise, sent straight to the application, since a server would
filter half of them, and a short list of the worst over a real socket.
"""

import random
import re
import secrets
from collections.abc import Iterator, MutableMapping
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI

from limen.verify.claims import Claims
from limen.verify.fastapi import CurrentUser, add_problem_handlers
from limen.verify.middleware import Guard
from tests.loopback import request, serving
from tests.tokens import signer, verifier

pytestmark = pytest.mark.anyio

ROUNDS = 1500
TOKEN = signer("ES256").token()
GOOD = f"Bearer {TOKEN}".encode()
GOOD_SPELLING = re.compile(rb"[ \t]*(?i:bearer) +" + re.escape(TOKEN.encode()) + rb"[ \t]*")
PIECES = [
    b"Bearer",
    b"bearer ",
    b"Basic ",
    b" ",
    b"\t",
    b",",
    b"=",
    b".",
    b'"',
    b"\x00",
    b"\r\nX: y",
    b"\xff\xfe",
    "é".encode(),
    "\u2028".encode(),
    TOKEN.encode(),
    TOKEN.partition(".")[0].encode(),
    b"A" * 5000,
    b"%s%n{}",
]


@pytest.fixture(scope="module")
def app() -> FastAPI:
    app = FastAPI(openapi_url=None)
    add_problem_handlers(app)
    current_user = CurrentUser(verifier())

    @app.get("/me")
    async def me(user: Annotated[Claims, Depends(current_user)]) -> str:
        return user.user_id

    return app


@pytest.fixture(scope="module")
def port(app: FastAPI) -> Iterator[int]:
    with serving(Guard(app, verifier())) as port:
        yield port


async def status(app: Any, values: list[bytes]) -> int:
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    headers = [(b"authorization", value) for value in values]
    scope = {"type": "http", "method": "GET", "path": "/me", "query_string": b""}
    await app({**scope, "headers": headers}, receive, send)
    code: int = sent[0]["status"]
    return code


def mutated(rng: random.Random) -> bytes:
    """A good header with a few bytes changed, inserted, dropped or doubled; or noise."""
    if rng.random() < 0.3:
        return b"".join(rng.choices([*PIECES, rng.randbytes(8)], k=rng.randrange(6)))
    header = bytearray(GOOD)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(header))
        piece = rng.choice([b"", bytes([rng.randrange(256)]), rng.choice(PIECES), header[at:]])
        header[at : at + rng.randrange(3)] = piece
    return bytes(header)


async def test_the_good_header_is_let_in(app: FastAPI) -> None:
    assert await status(app, [GOOD]) == 200
    assert await status(Guard(app, verifier()), [GOOD]) == 200


async def test_an_odd_header_is_refused_and_never_an_error(app: FastAPI) -> None:
    seed = secrets.randbits(32)
    print("seed", seed)
    rng = random.Random(seed)
    guard = Guard(app, verifier())

    for _ in range(ROUNDS):
        value = mutated(rng)
        is_good = GOOD_SPELLING.fullmatch(value) is not None
        for target in (app, guard):
            answer = await status(target, [value])
            assert answer in ((200,) if is_good else (400, 401)), value


async def test_many_headers_are_refused(app: FastAPI) -> None:
    for values in ([GOOD, GOOD], [GOOD, b""], [b"", GOOD], [b"Basic x", GOOD], [GOOD] * 10_000):
        assert await status(app, values) == 400
        assert await status(Guard(app, verifier()), values) == 400


@pytest.mark.parametrize(
    "header",
    [
        "Authorization:",
        "Authorization: Bearer",
        "Authorization: Bearer ..",
        "Authorization: Bearer null",
        "Authorization: Bearer undefined",
        "Authorization: Bearer " + "A" * 30_000,
        "Authorization: \xff\xfe",
        "Authorization: Bearer \x80.\x81.\x82",
        f"Authorization: Bearer {TOKEN}\r\nAuthorization: Bearer {TOKEN}",
        f"Authorization: Bearer {TOKEN}\r\n authorization: x",
        f"Authorization : Bearer {TOKEN}",
        f"authorization: Bearer {TOKEN}\r\nAUTHORIZATION: Bearer",
    ],
    ids=lambda header: ascii(header[:50]),
)
def test_an_odd_header_on_the_wire_is_refused(port: int, header: str) -> None:
    assert request(port, "/me", header).status in (400, 401)
