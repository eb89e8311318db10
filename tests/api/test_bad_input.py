"""Malformed, hostile and oversized input, for every route of the application.

The routes are taken from the OpenAPI document, so that a new one is under test when it is there.
Whatever is sent, the answer is a 4xx problem document, repeats nothing, and nothing is written.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from limen.limen import Limen
from limen.settings import Settings
from tests.conftest import on_sqlite
from tests.people import AUTH
from tests.refusals import CANARY, no_echo, problem
from tests.stored import row_counts

pytestmark = [pytest.mark.anyio, on_sqlite]  # requests are read alike on both

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"]
INVENTED = ["PROPFIND", "__init__", "GET_", CANARY, "X" * 2000]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the document; `members` are those of its JSON body, and which it needs."""

    method: str
    path: str
    is_guarded: bool
    members: tuple[str, ...]
    required: tuple[str, ...]


def routes(document: dict[str, Any]) -> list[Route]:
    return [
        Route(method.upper(), path, _is_guarded(operation), *_members(document, operation))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def _is_guarded(operation: dict[str, Any]) -> bool:
    """Whether it needs an access token; `{}` among the alternatives says that it can do without."""
    return {} not in operation.get("security", [{}])


def _members(
    document: dict[str, Any], operation: dict[str, Any]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get(JSON, {}).get("schema", {})
    schema = next((s for s in schema.get("anyOf", ()) if s.get("type") != "null"), schema)
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return tuple(schema.get("properties", ())), tuple(schema.get("required", ()))


@pytest.fixture(scope="module")
def all_routes(tmp_path_factory: pytest.TempPathFactory) -> list[Route]:
    limen = Limen(Settings(data_dir=tmp_path_factory.mktemp("never-opened")))
    app = FastAPI()
    for router in (limen.router, limen.admin_router, limen.operations_router):
        app.include_router(router)
    found = routes(app.openapi())
    assert len(found) >= 19  # so that nothing below runs over an empty list
    return found


@pytest.fixture
def posts(all_routes: list[Route]) -> list[Route]:
    """Routes with a JSON body that are open: of the others nobody reads a body without a token."""
    found = [route for route in all_routes if route.members and not route.is_guarded]
    assert {route.path.removeprefix(f"{AUTH}/") for route in found} >= {
        "register",
        "login",
        "refresh",
        "logout",
        "email/verify",
        "email/verify/confirm",
        "email/change/confirm",
    }
    return found


@pytest.fixture(autouse=True)
async def nothing_is_written(limen: Limen, http: httpx2.AsyncClient) -> AsyncIterator[None]:
    assert (await http.get("/readyz")).status_code == 200
    await limen.features.audit.seal()  # what happened at the start
    before = await row_counts(limen)
    yield
    assert await row_counts(limen) == before


def refused(response: httpx2.Response, *statuses: int) -> dict[str, Any]:
    return problem(response.status_code, response.headers, response.content, expected=set(statuses))


def object_of(members: tuple[str, ...], value: str) -> str:
    """An object as text, with `value` as it stands for the first member."""
    first, *others = members
    texts = [f'"{first}":{value}', *(f'"{name}":"{CANARY}"' for name in others)]
    return "{" + ",".join(texts) + "}"


# Bodies made from the names of a route's members, all of them to be refused as not acceptable.
GOOD = f'"{CANARY}"'
BODIES: dict[str, Any] = {
    "empty": lambda _: b"",
    "white space": lambda _: b" \r\n\t ",
    "NUL bytes": lambda _: b"\0" * 100,
    "no JSON": lambda _: CANARY.encode(),
    "cut short": lambda m: object_of(m, GOOD)[:-1].encode(),
    "trailing comma": lambda m: (object_of(m, GOOD)[:-1] + ",}").encode(),
    "two documents": lambda m: (object_of(m, GOOD) * 2).encode(),
    "single quotes": lambda m: object_of(m, GOOD).replace('"', "'").encode(),
    "comment": lambda m: (object_of(m, GOOD) + "//" + CANARY).encode(),
    "byte order mark": lambda m: object_of(m, GOOD).encode("utf-8-sig"),
    "UTF-16": lambda m: object_of(m, GOOD).encode("utf-16"),
    "UTF-16 without mark": lambda m: object_of(m, GOOD).encode("utf-16-le"),
    "UTF-32": lambda m: object_of(m, GOOD).encode("utf-32"),
    "Latin-1": lambda m: object_of(m, f'"{CANARY}é"').encode("latin-1"),
    "overlong UTF-8": lambda m: object_of(m, GOOD).encode().replace(b"7", b"\xc0\xaf"),
    "encoded surrogate": lambda m: object_of(m, GOOD).encode().replace(b"7", b"\xed\xa0\x80"),
    "escaped surrogate": lambda m: object_of(m, rf'"\ud800{CANARY}"').encode(),
    "surrogates swapped": lambda m: object_of(m, rf'"\udc00\ud800{CANARY}"').encode(),
    "surrogate in a name": lambda m: object_of(m, rf'{GOOD},"\udfff":1').encode(),
    "raw line feed": lambda m: object_of(m, f'"{CANARY}\n"').encode(),
    "member twice": lambda m: object_of((*m, m[0]), GOOD).encode(),
    "member twice, escaped": lambda m: object_of(
        m, rf'{GOOD},"\u00{ord(m[0][0]):x}{m[0][1:]}":{GOOD}'
    ).encode(),
    "unknown member": lambda m: object_of(m, f'{GOOD},"{CANARY}":{GOOD}').encode(),
    "__proto__": lambda m: object_of(m, f'{GOOD},"__proto__":{{"admin":true}}').encode(),
    "model_config": lambda m: object_of(m, f'{GOOD},"model_config":{{}}').encode(),
    "upper case": lambda m: object_of(m, GOOD).replace(m[0], m[0].upper(), 1).encode(),
    "number": lambda m: object_of(m, "7").encode(),
    "huge number": lambda m: object_of(m, "9" * 5000).encode(),
    "1e999": lambda m: object_of(m, "1e999").encode(),
    "NaN": lambda m: object_of(m, "NaN").encode(),
    "-Infinity": lambda m: object_of(m, "-Infinity").encode(),
    "true": lambda m: object_of(m, "true").encode(),
    "array": lambda m: object_of(m, f"[{GOOD}]").encode(),
    "object": lambda m: object_of(m, f'{{"{CANARY}":{GOOD}}}').encode(),
    "deep arrays": lambda m: object_of(m, "[" * 8000 + "]" * 8000).encode(),
    "deep objects": lambda m: object_of(m, '{"a":' * 2000 + "1" + "}" * 2000).encode(),
    "unclosed arrays": lambda _: b"[" * 16_000,
    "text": lambda _: f'"{CANARY}"'.encode(),
    "bare null": lambda _: b"null",
    "bare number": lambda _: b"1e3",
    "bare false": lambda _: b"false",
    "list of objects": lambda m: f"[{object_of(m, GOOD)}]".encode(),
    "list of pairs": lambda m: json.dumps([[name, CANARY] for name in m]).encode(),
    "no members": lambda _: b"{}",
    "other members": lambda _: f'{{"{CANARY}":"{CANARY}","login":1}}'.encode(),
    "too long": lambda m: object_of(m, f'"{CANARY * 700}"').encode(),
    "form": lambda m: "&".join(f"{name}={CANARY}" for name in m).encode(),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_malformed_body_is_refused(
    http: httpx2.AsyncClient, posts: list[Route], body: Any
) -> None:
    for route in posts:
        response = await http.post(
            route.path, content=body(route.members), headers={"Content-Type": JSON}
        )
        assert refused(response, 422)["code"] == "invalid_request"


@pytest.mark.parametrize("value", ["null", r'"\u0000"', r'"a\u0000b"', '"' + "a" * 4097 + '"'])
async def test_every_member_of_every_body_is_checked(
    http: httpx2.AsyncClient, posts: list[Route], value: str
) -> None:
    tokens = (f"{AUTH}/logout", f"{AUTH}/refresh")  # they may be longer
    for route in posts if value == "null" else [one for one in posts if one.path not in tokens]:
        for name in route.required if value == "null" else route.members:
            members = (name, *(other for other in route.members if other != name))
            body = object_of(members, value).encode()
            response = await http.post(route.path, content=body, headers={"Content-Type": JSON})
            document = refused(response, 422)
            assert (document["code"], document["field"]) == ("invalid_request", members[0])


@pytest.mark.parametrize(
    "media_type",
    [
        None,
        "",
        "text/plain",
        "text/json",
        "application/xml",
        "application/octet-stream",
        "multipart/form-data",
        f"multipart/form-data; boundary={CANARY}",
        "application/jsonp",
        "application json",
        "/",
        f"{CANARY}/{CANARY}",
        "application/json" * 500,
    ],
)
async def test_a_body_of_another_media_type_is_refused(
    http: httpx2.AsyncClient, posts: list[Route], media_type: str | None
) -> None:
    headers = {} if media_type is None else {"Content-Type": media_type}
    for route in posts:
        body = object_of(route.members, GOOD).encode()
        refused(await http.post(route.path, content=body, headers=headers), 422)


FORMS = {
    "empty": b"",
    "no pairs": CANARY.encode(),
    "one field": b"username=" + CANARY.encode(),
    "other fields": b"email=a&password=b",
    "both names": b"username=a&email=b&password=c",
    "unknown field": f"username=a&password=b&{CANARY}=c".encode(),
    "field twice": b"username=a&username=b&password=c",
    "field twice, escaped": b"username=a&%75sername=b&password=c",
    "no equals sign": b"username=a&password",
    "empty pair": b"username=a&&password=b",
    "semicolons": b"username=a;password=b",
    "NUL": b"username=a&password=b%00c",
    "NUL in the address": b"username=a%00&password=b",
    "raw NUL": b"username=a&password=b\0",
    "line feed in the address": b"username=a%0a&password=b",
    "no UTF-8": b"username=a&password=%ff",
    "raw bytes": b"username=a&password=\xff",
    "overlong UTF-8": b"username=a&password=%c0%80",
    "surrogate": b"username=a&password=%ed%a0%80",
    "UTF-16": "username=a&password=b".encode("utf-16"),
    "too long": b"username=a&password=" + b"b" * 257,
    "17 fields": b"username=a&password=b&" + b"&".join(b"f%d=1" % n for n in range(15)),
    "3000 fields": b"&".join(b"f%d=1" % n for n in range(2000)),
    "nothing but &": b"&" * 16_000,
    "nothing but %": b"%" * 16_000,
    "JSON": b'{"username":"a","password":"b"}',
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
async def test_a_malformed_form_is_refused(http: httpx2.AsyncClient, form: bytes) -> None:
    response = await http.post(f"{AUTH}/login", content=form, headers={"Content-Type": FORM})

    assert refused(response, 422)["code"] == "invalid_request"


@pytest.mark.parametrize("size", [16 * 1024 + 1, 1024 * 1024], ids=["by one", "1 MiB"])
async def test_an_oversized_body_is_refused_on_every_route(
    http: httpx2.AsyncClient, all_routes: list[Route], size: int
) -> None:
    for route in all_routes:
        body = CANARY.encode() + b" " * (size - len(CANARY))
        for headers in ({"Content-Type": JSON}, {"Content-Type": FORM}, {}):
            sent = await http.request(route.method, route.path, content=body, headers=headers)
            assert refused(sent, 413)["code"] == "body_too_large"


async def test_an_oversized_body_without_a_length_is_refused(
    http: httpx2.AsyncClient, all_routes: list[Route]
) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield CANARY.encode() * 100

    for route in all_routes:
        refused(await http.request(route.method, route.path, content=parts()), 413)


async def test_a_body_of_exactly_16_kib_is_read(http: httpx2.AsyncClient) -> None:
    body = json.dumps({"refresh_token": CANARY}).encode().ljust(16 * 1024)
    response = await http.post(f"{AUTH}/refresh", content=body, headers={"Content-Type": JSON})

    assert refused(response, 401)["code"] == "invalid_refresh_token"


def repeated(name: str, *values: str) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for value in values]


HEADERS = {
    "two Authorization": repeated("Authorization", "Bearer a.b.c", f"Bearer {CANARY}"),
    "two alike": repeated("Authorization", f"Bearer {CANARY}", f"Bearer {CANARY}"),
    "two schemes": repeated("Authorization", f"Basic {CANARY}", f"Bearer {CANARY}"),
    "10,000 Authorization": repeated("Authorization", *["Bearer x"] * 10_000),
    "empty": repeated("Authorization", ""),
    "Bearer alone": repeated("Authorization", "Bearer"),
    "two tokens": repeated("Authorization", f"Bearer {CANARY} {CANARY}"),
    "list": repeated("Authorization", f"Bearer {CANARY}, Bearer {CANARY}"),
    "not ASCII": repeated("Authorization", f"Bearer {CANARY}é"),
    "quoted": repeated("Authorization", f'Bearer "{CANARY}"'),
    "no token": repeated("Authorization", f"Bearer {CANARY}"),
    "long": repeated("Authorization", "Bearer " + CANARY * 5000),
    "dots": repeated("Authorization", "Bearer " + "." * 5000),
    "cookie": repeated("Cookie", f'limen_device="{CANARY}; =; a=b=c; {CANARY}'),
    "many cookies": repeated("Cookie", ";" * 5000),
    "device": repeated("Limen-Device", f"é{CANARY}." * 500),
    "forwarded": repeated("X-Forwarded-For", f"{CANARY},,::%eth0", "1" * 5000),
    "request id": repeated("X-Request-ID", f"{CANARY} {CANARY}"),
    "method override": repeated("X-HTTP-Method-Override", f"DELETE{CANARY}"),
    "host": repeated("Host", f"{CANARY}/docs?"),
    "origin": repeated("Origin", f"https://{CANARY}.example"),
    "accept": repeated("Accept", f"{CANARY}/*;q=9999"),
    "encodings": repeated("Content-Encoding", "gzip, br"),
    "range": repeated("Range", f"bytes=0-,{CANARY}"),
    "length": repeated("Content-Length", "-1"),
    "long length": repeated("Content-Length", "9" * 5000),
}


SENT_ONCE = {b"host", b"content-length"}
# Where a body is needed, and none is sent; signing out of nothing is signing out.
ANSWERS: dict[str, set[int]] = {
    f"{AUTH}/register": set(),
    f"{AUTH}/login": set(),
    f"{AUTH}/refresh": set(),
    f"{AUTH}/logout": {204},
}


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
async def test_an_odd_header_is_refused_or_ignored_on_every_route(
    http: httpx2.AsyncClient, all_routes: list[Route], headers: list[tuple[bytes, bytes]]
) -> None:
    for route in all_routes:
        body: dict[str, Any] = {"json": {}} if route.members else {}
        request = http.build_request(route.method, route.path, **body)
        kept = [field for field in request.headers.raw if field[0].lower() not in SENT_ONCE]
        request.headers = httpx2.Headers([*kept, *headers])
        response = await http.send(request)
        if response.status_code in ANSWERS.get(route.path, {200}) and not route.is_guarded:
            no_echo(response.headers, response.text)
        else:
            refused(response, 400, 401, 413, 422)


KEYS = ["", " " * 20, "a" * 15, CANARY * 8, "é" * 20, "a" * 20 + "\t" + "b", "x" * 5000]


@pytest.mark.parametrize("keys", [*([key] for key in KEYS), ["k" * 16, "k" * 16]], ids=repr)
async def test_an_odd_idempotency_key_costs_no_session(
    http: httpx2.AsyncClient, keys: list[str]
) -> None:
    body = json.dumps({"refresh_token": CANARY}).encode()
    headers = [*repeated("Idempotency-Key", *keys), (b"Content-Type", JSON.encode())]
    response = await http.post(f"{AUTH}/refresh", content=body, headers=headers)

    assert refused(response, 422)["field"] == "Idempotency-Key"


TOKENS = [
    CANARY,
    ".",
    "..",
    "a.b.c",
    "eyJhbGciOiJub25lIn0.e30.",
    "eyJhbGciOiJub25lIiwidHlwIjoicnQrand0In0.e30.AA",
    "null",
    "%00",
    "=" * 40,
    "A" * 4096,
    ".".join(["A" * 1300] * 3),
]


@pytest.mark.parametrize("token", TOKENS, ids=lambda token: token[:12])
async def test_what_is_no_token_opens_nothing(http: httpx2.AsyncClient, token: str) -> None:
    me = await http.get(f"{AUTH}/me", headers={"Authorization": f"Bearer {token}"})
    refresh = await http.post(f"{AUTH}/refresh", json={"refresh_token": token})
    logout = await http.post(f"{AUTH}/logout", json={"refresh_token": token})

    refused(me, 400, 401)
    assert refused(refresh, 401)["code"] == "invalid_refresh_token"
    assert (logout.status_code, logout.content) == (204, b"")


@pytest.mark.parametrize("token", ["\0", "é", "\u2028", "😀" * 1000, "a\tb", "\x1b[2J"], ids=ascii)
async def test_any_text_may_stand_where_a_refresh_token_should(
    http: httpx2.AsyncClient, token: str
) -> None:
    refused(await http.post(f"{AUTH}/refresh", json={"refresh_token": token}), 401)
    assert (await http.post(f"{AUTH}/logout", json={"refresh_token": token})).status_code == 204


async def test_every_other_method_is_refused_on_every_route(
    http: httpx2.AsyncClient, all_routes: list[Route]
) -> None:
    allowed: dict[str, set[str]] = {}
    for route in all_routes:
        allowed.setdefault(route.path, set()).add(route.method)
    for path, methods in allowed.items():
        for method in [*METHODS, *INVENTED]:
            if method in methods:
                continue
            response = await http.request(method, path, content=CANARY.encode())
            assert response.headers["allow"] == ", ".join(sorted(methods))
            if method != "HEAD":
                assert refused(response, 405)["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    "path",
    [
        f"/{CANARY}",
        f"/{CANARY}/../../etc/passwd",
        f"/{CANARY}%0d%0aSet-Cookie:%20a=b",
        "/" + CANARY * 500,
        f"/docs/{CANARY}",
        f"{AUTH}/{CANARY}",
        f"{AUTH}/login/{CANARY}",
        f"{AUTH}/login/",
        f"{AUTH}/login%00",
        f"{AUTH}/login%20",
        f"{AUTH}/login;{CANARY}=1",
        f"{AUTH}//login",
        f"{AUTH}/LOGIN",
        f"{AUTH}/login%3f",
        f"{AUTH}/login%ff",
        f"{AUTH}\\login",
        "/api/v2/auth/login",
        "/healthz/",
        "/%2e%2e/",
        "/.git/config",
    ],
)
async def test_an_unknown_path_is_no_route(http: httpx2.AsyncClient, path: str) -> None:
    for method in ("GET", "POST", "DELETE", "OPTIONS", "TRACE", CANARY):
        assert refused(await http.request(method, path), 404)["code"] == "not_found"
