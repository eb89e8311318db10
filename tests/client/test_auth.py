"""`LimenAuth` in front of a real limen: both kinds of client, both databases."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import httpx2
import pytest

from limen import app as standalone
from limen.client import (
    Kept,
    LimenAuth,
    LimenUnavailable,
    MemoryStore,
    NotSignedIn,
    SignedOut,
    SignInRefused,
    SignOutUnconfirmed,
    StoreUnusable,
    Tokens,
    TooManySignIns,
    UnexpectedAnswer,
)
from limen.limen import Limen
from tests.clock import ManualClock
from tests.conftest import on_sqlite
from tests.people import AUTH, PASSWORD, Person

pytestmark = pytest.mark.anyio

URL = "https://limen.test"
ME = f"{URL}{AUTH}/me"
EMAIL = "ada@example.com"

Respond = Callable[[httpx2.Request], httpx2.Response | None]


class Network(httpx2.AsyncBaseTransport):
    """Carries everything for limen.test to limen, and knows all that was sent.

    `instead` may answer in limen's place, and `lose` whose answers are lost on the way back.
    """

    def __init__(self, limen: Limen) -> None:
        self._limen = httpx2.ASGITransport(standalone.build(limen))
        self.sent: list[httpx2.Request] = []
        self.instead: Respond = lambda _: None
        self.lose: Callable[[httpx2.Request], bool] = lambda _: False

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.sent.append(httpx2.Request(request.method, request.url, headers=request.headers))
        if (answer := self.instead(request)) is not None:
            return answer
        assert request.url.host == "limen.test"
        response = await self._limen.handle_async_request(request)
        if self.lose(request):
            raise httpx2.ReadError("lost", request=request)
        return response

    def to(self, path: str) -> list[httpx2.Request]:
        return [request for request in self.sent if request.url.path == AUTH + path]

    def auth(self, store: MemoryStore | None = None, **options: object) -> LimenAuth:
        return LimenAuth(URL, store=store, async_client=self.client, **options)  # type: ignore[arg-type]

    def client(self, auth: httpx2.Auth | None = None) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=self, auth=auth, follow_redirects=True)


@pytest.fixture
def network(limen: Limen) -> Network:
    return Network(limen)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def auth(network: Network, store: MemoryStore, ada: Person) -> LimenAuth:
    """Ada, signed in with a client of her own; nothing knows her password any more."""
    auth = network.auth(store)
    await auth.asign_in(ada.email, PASSWORD)
    network.sent.clear()
    return auth


@pytest.fixture
async def client(network: Network, auth: LimenAuth) -> AsyncIterator[httpx2.AsyncClient]:
    async with network.client(auth) as client:
        yield client


def kept(store: MemoryStore) -> Tokens:
    tokens = store.load().tokens
    assert tokens is not None
    return tokens


def grown_old(store: MemoryStore, seconds: float = 3600) -> Tokens:
    """Let the access token in the store be one that was received an hour ago."""
    tokens = replace(kept(store), received_at=kept(store).received_at - seconds)
    store.save(replace(store.load(), tokens=tokens))
    return tokens


async def test_it_signs_in_where_nobody_is(network: Network, ada: Person) -> None:
    async with network.client(network.auth(email=ada.email, password=PASSWORD)) as client:
        first, second = await client.get(ME), await client.get(ME)

    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json()["email"] == EMAIL
    assert len(network.to("/login")) == 1


async def test_a_client_of_threads_does_the_same(ada: Person, wire: httpx2.AsyncClient) -> None:
    url, store = str(wire.base_url).rstrip("/"), MemoryStore()

    def all_of_it() -> list[int]:
        auth = LimenAuth(url, store=store, email=ada.email, password=PASSWORD)
        with httpx2.Client(auth=auth, trust_env=False) as client:
            statuses = [client.get(f"{url}{AUTH}/me").status_code]
            grown_old(store)
            statuses.append(client.get(f"{url}{AUTH}/me").status_code)
        auth.sign_out()
        return statuses

    assert await asyncio.to_thread(all_of_it) == [200, 200]
    assert store.load().tokens is None


async def test_without_a_sign_in_nothing_is_sent(network: Network) -> None:
    async with network.client(network.auth()) as client:
        with pytest.raises(NotSignedIn, match="sign_in"):
            await client.get(ME)

    assert network.sent == []


async def test_a_token_is_refreshed_before_it_ends(
    network: Network, store: MemoryStore, client: httpx2.AsyncClient, clock: ManualClock
) -> None:
    before = kept(store)
    clock.tick(1741)
    grown_old(store, 1741)

    assert (await client.get(ME)).status_code == 200
    assert [request.url.path for request in network.sent] == [f"{AUTH}/refresh", f"{AUTH}/me"]
    assert kept(store).refresh_token != before.refresh_token


async def test_a_refused_token_is_refreshed_and_the_request_repeated_once(
    network: Network, client: httpx2.AsyncClient, clock: ManualClock
) -> None:
    clock.tick(3600)  # of limen alone: this machine's clock is an hour behind

    assert (await client.get(ME)).status_code == 200
    paths = [request.url.path.removeprefix(AUTH) for request in network.sent]
    assert paths == ["/me", "/refresh", "/me"]
    assert (await client.get(ME)).status_code == 200
    assert len(network.to("/refresh")) == 1


async def test_a_newer_token_in_the_store_is_used_without_a_refresh(
    network: Network, store: MemoryStore, client: httpx2.AsyncClient, ada: Person, auth: LimenAuth
) -> None:
    newer = kept(store)
    await auth.asign_out()
    network.sent.clear()
    stale = kept_by(await ada.sign_in(), newer)

    def another_process_was_faster(request: httpx2.Request) -> httpx2.Response | None:
        if request.headers["Authorization"].endswith(stale.access_token):
            return None
        store.save(Kept(stale, issuer=URL))
        return None

    store.save(Kept(newer, issuer=URL))  # refused now: its session is over
    network.instead = another_process_was_faster

    assert (await client.get(ME)).status_code == 200
    assert network.to("/refresh") == []


def kept_by(response: httpx2.Response, like: Tokens) -> Tokens:
    found = response.json()
    return replace(like, access_token=found["access_token"], refresh_token=found["refresh_token"])


async def test_twenty_requests_at_once_refresh_once(
    network: Network, store: MemoryStore, client: httpx2.AsyncClient, clock: ManualClock
) -> None:
    clock.tick(3600)
    grown_old(store)

    answers = await asyncio.gather(*(client.get(ME) for _ in range(20)))

    assert {answer.status_code for answer in answers} == {200}
    assert len(network.to("/refresh")) == 1


async def test_a_service_that_refuses_every_token_causes_one_refresh(
    network: Network, auth: LimenAuth
) -> None:
    network.instead = lambda request: refusal() if request.url.path == "/orders" else None
    async with network.client(auth) as client:
        statuses = [(await client.get(f"{URL}/orders")).status_code for _ in range(5)]

    assert statuses == [401] * 5
    assert len(network.to("/refresh")) == 1


def refusal() -> httpx2.Response:
    return httpx2.Response(401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


async def test_a_lost_answer_is_asked_for_again_with_the_same_key(
    network: Network, store: MemoryStore, client: httpx2.AsyncClient, clock: ManualClock
) -> None:
    clock.tick(3600)
    grown_old(store)
    network.lose = lambda request: bool(
        request.url.path == f"{AUTH}/refresh" and len(network.to("/refresh")) == 1
    )

    assert (await client.get(ME)).status_code == 200
    keys = [request.headers["Idempotency-Key"] for request in network.to("/refresh")]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert len(keys[0]) == 32


async def test_the_key_is_stored_before_it_is_sent(
    network: Network, store: MemoryStore, client: httpx2.AsyncClient
) -> None:
    grown_old(store)
    stored: list[str | None] = []

    def look(request: httpx2.Request) -> None:
        if request.url.path == f"{AUTH}/refresh":
            stored.append(kept(store).retry_key)
            assert stored == [request.headers["Idempotency-Key"]]

    network.instead = look

    assert (await client.get(ME)).status_code == 200
    assert len(stored) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503])
@on_sqlite
async def test_an_unavailable_limen_costs_nobody_his_session(
    network: Network, store: MemoryStore, client: httpx2.AsyncClient, status: int
) -> None:
    before = grown_old(store)
    busy = httpx2.Response(status, headers={"Retry-After": "60"})
    network.instead = lambda request: busy if request.url.path == f"{AUTH}/refresh" else None

    with pytest.raises(LimenUnavailable, match=f"status {status}") as caught:
        await client.get(ME)

    assert caught.value.retry_after == 60
    assert kept(store).refresh_token == before.refresh_token
    network.instead = lambda _: None
    assert (await client.get(ME)).status_code == 200
    assert len({request.headers["Idempotency-Key"] for request in network.to("/refresh")}) == 1


async def test_an_ended_session_is_told_and_forgotten(
    limen: Limen, ada: Person, store: MemoryStore, client: httpx2.AsyncClient
) -> None:
    await limen.features.accounts.end_sessions(ada.user_id)

    with pytest.raises(SignedOut, match="Sign in again"):
        await client.get(ME)

    assert store.load().tokens is None
    with pytest.raises(NotSignedIn):
        await client.get(ME)


async def test_with_credentials_a_new_session_follows_an_ended_one(
    limen: Limen, network: Network, ada: Person, caplog: pytest.LogCaptureFixture
) -> None:
    auth = network.auth(email=ada.email, password=PASSWORD)
    async with network.client(auth) as client:
        assert (await client.get(ME)).status_code == 200
        await limen.features.accounts.end_sessions(ada.user_id)
        assert (await client.get(ME)).status_code == 200

    assert "limen has ended this session" in caplog.text


@pytest.mark.parametrize("first", ["owner", "thief"])
async def test_a_stolen_refresh_token_ends_the_session_for_both(
    network: Network, store: MemoryStore, auth: LimenAuth, clock: ManualClock, first: str
) -> None:
    stolen = MemoryStore()
    stolen.save(store.load())
    clock.tick(3600)
    holders = {"owner": (auth, store), "thief": (network.auth(stolen), stolen)}
    winner = holders.pop(first)
    (loser,) = holders.values()

    async with network.client(winner[0]) as client:
        assert (await client.get(ME)).status_code == 200
    clock.tick(61)
    for who, its_store in (loser, winner):
        grown_old(its_store)
        async with network.client(who) as client:
            with pytest.raises(SignedOut, match="stolen"):
                await client.get(ME)


async def test_a_wrong_password_is_tried_once(network: Network, ada: Person) -> None:
    auth = network.auth(email=ada.email, password="not the password")
    async with network.client(auth) as client:
        for _ in range(3):
            with pytest.raises(SignInRefused):
                await client.get(ME)
        assert len(network.to("/login")) == 1
        await auth.asign_in(ada.email, PASSWORD)
        assert (await client.get(ME)).status_code == 200


async def test_too_many_attempts_say_how_long_to_wait(network: Network, ada: Person) -> None:
    auth = network.auth()
    for _ in range(5):
        with pytest.raises(SignInRefused):
            await auth.asign_in(ada.email, "not the password")

    with pytest.raises(TooManySignIns, match="seconds") as caught:
        await auth.asign_in(ada.email, PASSWORD)

    assert caught.value.retry_after is not None
    assert caught.value.retry_after > 60


async def test_the_name_of_the_device_outlives_the_session(
    network: Network, store: MemoryStore, auth: LimenAuth, ada: Person
) -> None:
    device = store.load().device
    await auth.asign_out()
    await auth.asign_in(ada.email, PASSWORD)

    assert device
    assert network.to("/login")[0].headers["Limen-Device"] == device


async def test_signing_out_ends_the_session_here_and_there(
    network: Network, store: MemoryStore, auth: LimenAuth
) -> None:
    stolen = MemoryStore()
    stolen.save(store.load())
    await auth.asign_out()
    await auth.asign_out()

    assert store.load().tokens is None
    assert len(network.to("/logout")) == 1
    async with network.client(network.auth(stolen)) as client:
        with pytest.raises(SignedOut):
            await client.get(ME)


@on_sqlite
async def test_signing_out_forgets_the_session_even_if_limen_is_away(
    network: Network, store: MemoryStore, auth: LimenAuth
) -> None:
    network.instead = lambda _: httpx2.Response(503, headers={"Retry-After": "3600"})

    with pytest.raises(SignOutUnconfirmed, match="could not be told"):
        await auth.asign_out()

    assert store.load().tokens is None


@on_sqlite
async def test_another_origin_never_gets_the_token(network: Network, auth: LimenAuth) -> None:
    network.instead = lambda _: httpx2.Response(401)
    others = ("https://evil.test/", "http://limen.test/", "https://limen.test:8443/")
    lookalikes = ("https://limen.test.evil.test/", "https://limen.test@evil.test/")
    async with network.client(auth) as client:
        for url in (*others, *lookalikes):
            assert (await client.get(url)).status_code == 401

    assert len(network.sent) == len(others) + len(lookalikes)
    assert not any("bearer" in str(request.headers).lower() for request in network.sent)


@on_sqlite
async def test_an_origin_that_was_named_gets_it(network: Network, store: MemoryStore) -> None:
    network.instead = lambda _: httpx2.Response(204)
    store.save(signed_in())
    auth = network.auth(store, send_to=["https://API.example.com:443/"])
    async with network.client(auth) as client:
        await client.get("https://api.example.com/orders")

    assert network.sent[0].headers["Authorization"] == "Bearer an-access-token"


def signed_in() -> Kept:
    tokens = Tokens("an-access-token", "a-refresh-token", time.time(), 1800, "an-account")
    return Kept(tokens, "a-device", URL)


@on_sqlite
async def test_a_redirect_to_another_origin_never_gets_the_token(
    network: Network, auth: LimenAuth
) -> None:
    def away(request: httpx2.Request) -> httpx2.Response:
        if request.url.host == "limen.test":
            return httpx2.Response(307, headers={"Location": "https://evil.test/"})
        return httpx2.Response(401)

    network.instead = away
    async with network.client(auth) as client:
        assert (await client.post(f"{URL}/orders", content=b"order")).status_code == 401

    hosts = [(request.url.host, "Authorization" in request.headers) for request in network.sent]
    assert hosts == [("limen.test", True), ("evil.test", False)]


@on_sqlite
async def test_a_redirected_refresh_is_not_followed(
    network: Network, store: MemoryStore, client: httpx2.AsyncClient
) -> None:
    before = grown_old(store)
    network.instead = lambda _: httpx2.Response(307, headers={"Location": "https://evil.test/"})

    with pytest.raises(UnexpectedAnswer, match="/refresh was answered with 307"):
        await client.get(ME)

    assert [request.url.host for request in network.sent] == ["limen.test"]
    assert kept(store).refresh_token == before.refresh_token


@pytest.mark.parametrize("answer", [httpx2.Response(401), httpx2.Response(200, text="<html>")])
@on_sqlite
async def test_what_is_not_limens_answer_ends_nothing(
    network: Network, store: MemoryStore, client: httpx2.AsyncClient, answer: httpx2.Response
) -> None:
    before = grown_old(store)
    network.instead = lambda _: answer

    with pytest.raises(UnexpectedAnswer, match="is the address right"):
        await client.get(ME)

    assert kept(store).refresh_token == before.refresh_token


async def test_a_body_that_is_read_as_it_is_sent_is_sent_once(
    network: Network, client: httpx2.AsyncClient, clock: ManualClock
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"{}"

    clock.tick(3600)
    first = await client.request("GET", ME, content=body())
    second = await client.request("GET", ME, content=body())

    assert (first.status_code, second.status_code) == (401, 200)
    assert len(network.to("/refresh")) == 1
    assert len(network.to("/me")) == 2


@on_sqlite
async def test_no_secret_is_in_a_repr_or_a_log(
    network: Network,
    auth: LimenAuth,
    store: MemoryStore,
    client: httpx2.AsyncClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    before = grown_old(store)
    await client.get(ME)
    after = kept(store)
    with pytest.raises(SignInRefused) as refused:
        await auth.asign_in(EMAIL, "not the password")
    await auth.asign_out()

    known = (before, after)
    secrets = {token for tokens in known for token in (tokens.access_token, tokens.refresh_token)}
    credentials = network.auth(email=EMAIL, password=PASSWORD)
    said = [*map(repr, (auth, credentials, before, Kept(after, "a-device"), refused.value))]
    ours = ("limen.client", "httpx2", "httpcore2")
    logged = [record.getMessage() for record in caplog.records if record.name.startswith(ours)]
    shown = "\n".join([*logged, str(refused.value), *said])
    assert logged
    assert len(secrets) >= 3
    assert [secret for secret in {*secrets, EMAIL, PASSWORD, "a-device"} if secret in shown] == []
    assert said[0] == f"LimenAuth('{URL}')"


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("http://limen.test", {}),
        ("ftp://limen.test", {}),
        ("limen.test", {}),
        ("https://ada@limen.test", {}),
        (URL, {"email": EMAIL}),
        (URL, {"password": PASSWORD}),
        (URL, {"send_to": ["http://api.example.com"]}),
        (URL, {"send_to": ["https://api.example.com/v1"]}),
    ],
)
def test_what_would_be_unsafe_is_refused_at_once(url: str, options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"https://|go together") as caught:
        LimenAuth(url, **options)  # type: ignore[arg-type]

    assert EMAIL not in str(caught.value)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://localhost", "http://[::1]:8000"])
def test_this_machine_may_be_called_without_tls(url: str) -> None:
    assert repr(LimenAuth(url)) == f"LimenAuth('{url}')"


async def test_a_request_that_a_redirect_led_on_is_not_sent_again(
    network: Network, store: MemoryStore, client: httpx2.AsyncClient
) -> None:
    """The order was taken; what was refused is the page after it."""
    before = kept(store)

    def shop(request: httpx2.Request) -> httpx2.Response | None:
        if request.method == "POST" and request.url.path == "/orders":
            return httpx2.Response(303, headers={"Location": "/orders"})
        return refusal() if request.url.path == "/orders" else None

    network.instead = shop
    assert (await client.post(f"{URL}/orders", json={"item": 1})).status_code == 401
    orders = [request.method for request in network.sent if request.url.path == "/orders"]

    assert orders == ["POST", "GET"]
    assert kept(store).access_token != before.access_token  # which the next request gets


@on_sqlite
@pytest.mark.parametrize("challenge", [None, "Bearer", 'Basic realm="orders"'])
async def test_a_401_that_refuses_no_token_is_the_answer(
    network: Network, client: httpx2.AsyncClient, challenge: str | None
) -> None:
    headers = {"WWW-Authenticate": challenge} if challenge else {}
    network.instead = lambda _: httpx2.Response(401, headers=headers)

    assert (await client.post(f"{URL}/pay", json={"pin": "0000"})).status_code == 401
    assert [request.url.path for request in network.sent] == ["/pay"]


async def test_a_request_is_not_repeated_for_somebody_else(
    network: Network, store: MemoryStore, client: httpx2.AsyncClient, stranger: httpx2.AsyncClient
) -> None:
    bob, theirs = "bob@example.com", MemoryStore()
    await stranger.post(f"{AUTH}/register", json={"email": bob, "password": PASSWORD})
    await network.auth(theirs).asign_in(bob, PASSWORD)
    network.sent.clear()

    def meanwhile(_: httpx2.Request) -> httpx2.Response:
        store.save(theirs.load())
        return refusal()

    network.instead = meanwhile
    assert (await client.post(f"{URL}/orders", json={"item": 1})).status_code == 401
    assert [request.url.path for request in network.sent] == ["/orders"]


@on_sqlite
async def test_a_401_is_not_lost_when_limen_is_away(
    network: Network, client: httpx2.AsyncClient
) -> None:
    away = httpx2.Response(503, headers={"Retry-After": "3600"})
    network.instead = lambda request: refusal() if request.url.path == "/orders" else away

    assert (await client.get(f"{URL}/orders")).status_code == 401
    assert len(network.to("/refresh")) == 1


async def test_a_header_of_the_callers_own_is_left_alone(
    network: Network, client: httpx2.AsyncClient, clock: ManualClock
) -> None:
    answer = await client.get(ME, headers={"Authorization": "Bearer mine"})
    assert answer.status_code == 401
    assert [request.headers["Authorization"] for request in network.sent] == ["Bearer mine"]

    clock.tick(3600)
    request = client.build_request("GET", ME)
    again = [(await client.send(request)).status_code for _ in range(2)]
    clock.tick(3600)
    assert [*again, (await client.send(request)).status_code] == [200] * 3


@on_sqlite
async def test_signing_in_ends_the_session_before(
    network: Network, store: MemoryStore, auth: LimenAuth, ada: Person
) -> None:
    former = MemoryStore()
    former.save(store.load())
    await auth.asign_in(ada.email, PASSWORD)

    async with network.client(auth) as client, network.client(network.auth(former)) as other:
        assert (await client.get(ME)).status_code == 200
        with pytest.raises(SignedOut):
            await other.get(ME)


@on_sqlite
async def test_a_session_goes_to_no_other_limen(store: MemoryStore, network: Network) -> None:
    session = signed_in()
    store.save(session)
    network.instead = lambda _: httpx2.Response(401)
    evil = LimenAuth("https://evil.test", store=store, async_client=network.client)

    async with network.client(evil) as client:
        with pytest.raises(StoreUnusable, match="another limen"):
            await client.get("https://evil.test/")
    assert network.sent == []
    assert store.load() == session


@pytest.mark.parametrize("url", [f"{URL}/", "https://LIMEN.test:443", "HTTPS://limen.test/"])
@on_sqlite
async def test_the_same_address_may_be_written_otherwise(
    store: MemoryStore, network: Network, url: str
) -> None:
    store.save(signed_in())
    network.instead = lambda _: httpx2.Response(204)
    auth = LimenAuth(url, store=store, async_client=network.client)

    async with network.client(auth) as client:
        assert (await client.get(ME)).status_code == 204


@on_sqlite
async def test_this_machine_is_called_without_a_proxy(
    ada: Person, wire: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")  # where nobody listens
    auth = LimenAuth(str(wire.base_url))

    await auth.asign_in(ada.email, PASSWORD)
    await asyncio.to_thread(auth.sign_in, ada.email, PASSWORD)


@on_sqlite
async def test_an_empty_store_that_has_a_length_is_used(network: Network, ada: Person) -> None:
    class Sized(MemoryStore):
        def __len__(self) -> int:
            return 1 if self.load().tokens else 0

    store = Sized()
    await network.auth(store).asign_in(ada.email, PASSWORD)

    assert len(store) == 1
