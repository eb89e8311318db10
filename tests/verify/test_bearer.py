"""Which token a request presents, and when it presents none."""

import random
import secrets

import pytest

from limen.verify.bearer import bearer_token
from limen.verify.errors import GuardError, InvalidAuthorization, MissingToken

TOKEN = "eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "value",
    [
        f"Bearer {TOKEN}",
        f"bearer {TOKEN}",
        f"BEARER {TOKEN}",
        f"Bearer   {TOKEN}",
        f" Bearer {TOKEN}\t",
    ],
    ids=["as written", "lower case", "upper case", "several spaces", "outer whitespace"],
)
def test_a_bearer_header_gives_its_token(value: str) -> None:
    headers = [(b"host", b"x"), (b"authorization", value.encode()), (b"accept", b"*/*")]

    assert bearer_token(headers) == TOKEN


def test_a_header_name_is_read_in_any_case() -> None:
    assert bearer_token([(b"Authorization", b"Bearer a")]) == "a"


def test_padding_belongs_to_the_token() -> None:
    assert bearer_token([(b"authorization", b"Bearer YQ==")]) == "YQ=="


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"x-authorization", b"Bearer a")],
        [(b"cookie", b"access_token=a")],
        [(b"proxy-authorization", b"Bearer a")],
        [(b"authorization", b"Basic YTpi")],
        [(b"authorization", b"Basic")],
        [(b"authorization", b'Digest username="a, b", realm="c"')],
        [(b"authorization", b"BearerToken a")],
        [(b"authorization", b"DPoP a")],
        [(b"authorization", TOKEN.encode())],
    ],
    ids=lambda headers: repr(headers[0]) if headers else "no header",
)
def test_a_request_without_a_bearer_token_presents_none(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(MissingToken):
        bearer_token(headers)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b"Bearer",
        b"Bearer ",
        b"Bearer\ta",
        b"Bearer\xa0a",
        b"Bearer a b",
        b"Bearer a, Bearer b",
        b"Bearer a,",
        b"Bearer: a",
        b"Basic:YTpi",
        b'Bearer "a"',
        b"Bearer =a",
        b"Bearer a=b",
        b"Bearer a\n",
        b"Bearer a\x00",
        b"Bearer \xc3\xa9",
        b"\xff\xfe",
        b", Bearer a",
        b"=",
    ],
    ids=repr,
)
def test_a_malformed_header_is_refused(value: bytes) -> None:
    with pytest.raises(InvalidAuthorization):
        bearer_token([(b"authorization", value)])


@pytest.mark.parametrize("second", [f"Bearer {TOKEN}", "Bearer other", "Basic YTpi", ""], ids=repr)
def test_two_headers_are_refused_whatever_they_say(second: str) -> None:
    first = (b"authorization", f"Bearer {TOKEN}".encode())

    for headers in (
        [first, (b"authorization", second.encode())],
        [(b"Authorization", second.encode()), first],
    ):
        with pytest.raises(InvalidAuthorization):
            bearer_token(headers)


def test_no_header_value_becomes_another_exception() -> None:
    seed = secrets.randbits(32)
    print("seed", seed)
    rng = random.Random(seed)
    pieces = [
        b"Bearer",
        b"bearer ",
        b" ",
        b"\t",
        b"=",
        b",",
        b"a.b.c",
        b"\x00",
        b"\xff",
        b"\r\n",
        b'"',
    ]

    for _ in range(5000):
        value = b"".join(rng.choices([*pieces, rng.randbytes(3)], k=rng.randrange(7)))
        try:
            token = bearer_token([(b"authorization", value)])
        except GuardError:
            continue
        assert value.strip(b" \t").split(b" ")[-1] == token.encode("ascii")
