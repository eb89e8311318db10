"""HTTP Basic (RFC 7617): one header, one reading, and one answer to whatever is wrong with it."""

import base64
from collections.abc import Callable
from urllib.parse import quote

import httpx2
import pytest

from limen.limen import Limen
from tests.people import Person
from tests.refusals import problem
from tests.services import INTROSPECT, Service, a_service
from tests.stored import slots_taken

pytestmark = pytest.mark.anyio

Make = Callable[[Service], str]


@pytest.fixture
async def orders(limen: Limen, http: httpx2.AsyncClient) -> Service:
    return await a_service(limen, http)


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def basic(text: str | bytes) -> str:
    return f"Basic {b64(text)}"


def pair(one: Service) -> str:
    return f"{one.client_id}:{one.secret}"


def percent(text: str) -> str:
    return "".join(f"%{ord(character):02x}" for character in text)


GOOD: dict[str, Make] = {
    "as it is": lambda one: basic(pair(one)),
    "basic": lambda one: f"basic {b64(pair(one))}",
    "BASIC": lambda one: f"BASIC   {b64(pair(one))}",
    "space around": lambda one: f" \t{basic(pair(one))} ",
    "form-encoded (RFC 6749, 2.3.1)": lambda one: basic(quote(pair(one), safe=":")),
    "all encoded": lambda one: basic(percent(one.client_id) + ":" + percent(one.secret)),
}

# What could be read as a pair, and counts as a failure.
WRONG: dict[str, Make] = {
    "wrong secret": lambda one: basic(f"{one.client_id}:secret"),
    "secret of another length": lambda one: basic(pair(one) + "x"),
    "unknown client": lambda one: basic("0" * 32 + ":" + one.secret),
    "empty secret": lambda one: basic(one.client_id + ":"),
    "empty client": lambda one: basic(":" + one.secret),
    "nothing but a colon": lambda _: basic(":"),
    "the other way round": lambda one: basic(f"{one.secret}:{one.client_id}"),
    "client in upper case": lambda one: basic(f"{one.client_id[:-1]}A:{one.secret}"),
    "a line end": lambda one: basic(pair(one) + "\n"),
    "a space": lambda one: basic(pair(one) + " "),
    "a plus": lambda one: basic(pair(one) + "+"),
    "NUL": lambda one: basic("\0" + pair(one)),
    "NUL encoded": lambda one: basic("%00" + pair(one)),
    "encoded twice": lambda one: basic(percent(percent(one.client_id)) + ":" + one.secret),
    "colon encoded": lambda one: basic(pair(one).replace(":", "%3A") + ":"),
    "long": lambda one: basic(pair(one) + "x" * 5000),
}

# What is no pair at all: nobody is looked up, and nothing is counted.
MALFORMED: dict[str, Make] = {
    "none": lambda _: "",
    "Basic alone": lambda _: "Basic",
    "empty": lambda _: "Basic ",
    "no scheme": lambda one: b64(pair(one)),
    "no space": lambda one: f"Basic{b64(pair(one))}",
    "a tab": lambda one: f"Basic\t{b64(pair(one))}",
    "Bearer": lambda one: f"Bearer {b64(pair(one))}",
    "plain": lambda one: f"Basic {pair(one)}",
    "a character short": lambda one: basic(pair(one))[:-1],
    "base64url": lambda _: basic(b"\xff\xfe:\xfb\xff").replace("/", "_").replace("+", "-"),
    "no colon": lambda one: basic(one.client_id),
    "no UTF-8": lambda _: basic(b"client:\xff"),
    "no UTF-8 within": lambda one: basic(f"{one.client_id}:%ff"),
    "encoded surrogate": lambda one: basic(f"{one.client_id}:%ed%a0%80"),
    "two": lambda one: f"{basic(pair(one))}, {basic(pair(one))}",
    "parameters": lambda one: f'{basic(pair(one))}, realm="limen"',
    "quoted": lambda one: f'Basic "{b64(pair(one))}"',
}


async def asked(orders: Service, header: str) -> httpx2.Response:
    headers = [(b"authorization", header.encode("latin-1"))] if header else []
    return await orders.http.post(INTROSPECT, data={"token": "x"}, headers=headers)


def refusal(answer: httpx2.Response) -> bytes:
    """Return the body of what must be the one answer to bad credentials."""
    document = problem(answer.status_code, answer.headers, answer.content, expected={401})
    assert (document["code"], document["error"]) == ("invalid_client", "invalid_client")
    assert answer.headers.get_list("www-authenticate") == ['Basic realm="limen", charset="UTF-8"']
    return answer.content


@pytest.mark.parametrize("header", GOOD.values(), ids=GOOD)
async def test_good_credentials_are_taken_in_every_spelling_of_the_standards(
    orders: Service, header: Make
) -> None:
    assert (await asked(orders, header(orders))).json() == {"active": False}


async def test_wrong_credentials_are_refused_alike_and_counted(
    limen: Limen, orders: Service
) -> None:
    bodies = {refusal(await asked(orders, header(orders))) for header in WRONG.values()}

    assert len(bodies) == 1
    assert await slots_taken(limen) == {"client-address": len(WRONG)}


async def test_malformed_credentials_are_refused_like_wrong_ones_and_not_counted(
    limen: Limen, orders: Service
) -> None:
    wrong = refusal(await asked(orders, WRONG["wrong secret"](orders)))
    for name, header in MALFORMED.items():
        assert refusal(await asked(orders, header(orders))) == wrong, name

    assert await slots_taken(limen) == {"client-address": 1}


@pytest.mark.parametrize("second", ["the same", "another", "Bearer x", ""])
async def test_two_headers_are_none(orders: Service, second: str) -> None:
    first = GOOD["as it is"](orders)
    other = {"the same": first, "another": WRONG["wrong secret"](orders)}.get(second, second)
    for values in ((first, other), (other, first)):
        headers = [(b"authorization", value.encode()) for value in values]
        answer = await orders.http.post(INTROSPECT, data={"token": "x"}, headers=headers)
        refusal(answer)


async def test_credentials_anywhere_else_are_not_looked_at(ada: Person, orders: Service) -> None:
    body = {"token": "x", "client_id": orders.client_id, "client_secret": orders.secret}
    in_cookies = {"Cookie": f"Authorization={GOOD['as it is'](orders)}"}
    answers = [
        await orders.http.post(INTROSPECT, data=body),
        await orders.http.post(INTROSPECT, params=body, data={"token": "x"}),
        await orders.http.post(INTROSPECT, data={"token": "x"}, headers=in_cookies),
        await orders.http.post(INTROSPECT, data={"token": "x"}, headers=ada.bearer()),
    ]

    assert len({refusal(answer) for answer in answers}) == 1
