"""An httpx2 `Auth`, for `Client` and `AsyncClient` alike, that keeps its user signed in.

The access token goes to limen's own origin and to those in `send_to`; to any other it never goes.
httpx2 drops the header where a redirect leaves an origin, and nothing here puts it back. A request
that has an `Authorization` of the caller's own goes out as it is.

A 401 `invalid_token` has the token refreshed, and the request is sent once more, unless

    it is not safe to   a redirect led on from a request that changes something: that was done,
                        and what was refused is the one after it
    it is not ours      somebody else has signed in on this store: the request is not his
    it is not there     a body that is read as it is sent, such as a generator or a file, is gone

Such a request gets its 401, and the token is fresh for whoever repeats it. It gets its 401, too, if
limen cannot be asked for a newer token.
"""

import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from functools import partial
from ipaddress import ip_address
from typing import Any, TypeAlias

import httpx2

from limen.client.calls import Call, Credentials, Pause, Steps
from limen.client.carrier import Carrier
from limen.client.errors import LimenUnavailable
from limen.client.keeper import Keeper
from limen.client.stores import MemoryStore, Store

# Where a request says which header we gave it: it may be sent again, and that is not the caller's.
_OURS = "limen.client"
_REPEATABLE = frozenset({"GET", "HEAD"})
_Flow: TypeAlias = Generator[Call | Pause | httpx2.Request, Any, None]


class LimenAuth(httpx2.Auth):
    """Keeps signed in to the limen at `url`, in a `store` that others may share.

    With `email` and `password` it signs in whenever nobody is. `send_to` are further origins that
    may see the access token. `client` and `async_client` make the clients that talk to limen; those
    made here take proxies from the environment, but none on the way to this machine.

    Raises:
        ValueError: An address is not https, and not on this machine; or half the credentials.
    """

    def __init__(
        self,
        url: str,
        *,
        store: Store | None = None,
        email: str | None = None,
        password: str | None = None,
        send_to: Iterable[str] = (),
        client: Callable[[], httpx2.Client] | None = None,
        async_client: Callable[[], httpx2.AsyncClient] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._url = _safe(url, "url")
        self._origins = {self._url.origin, *(_origin(other) for other in send_to)}
        issuer = str(self._url).rstrip("/")
        store = MemoryStore() if store is None else store
        self._keeper = Keeper(issuer, store, _credentials(email, password), clock)
        by_proxy = self._url.scheme == "https"
        self._carrier = Carrier(
            issuer,
            client or partial(httpx2.Client, trust_env=by_proxy),
            async_client or partial(httpx2.AsyncClient, trust_env=by_proxy),
        )
        self._uncured: dict[httpx2.Origin, str] = {}

    def __repr__(self) -> str:
        return f"LimenAuth({str(self._url)!r})"

    def sign_in(self, email: str, password: str) -> None:
        """Start a session and keep it; one that there was ends. `SignInRefused`: wrong password."""
        self._run(self._keeper.sign_in(Credentials(email, password)))

    async def asign_in(self, email: str, password: str) -> None:
        await self._arun(self._keeper.sign_in(Credentials(email, password)))

    def sign_out(self) -> None:
        """End the session and forget it; `SignOutUnconfirmed` if limen could not be told."""
        self._run(self._keeper.sign_out())

    async def asign_out(self) -> None:
        await self._arun(self._keeper.sign_out())

    def sync_auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        flow = self._flow(request)
        try:
            step = next(flow)
            while True:
                if isinstance(step, httpx2.Request):
                    step = flow.send((yield step))
                else:
                    step = flow.send(self._carrier.do(step))
        except StopIteration:
            return
        finally:
            flow.close()

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        flow = self._flow(request)
        try:
            step = next(flow)
            while True:
                if isinstance(step, httpx2.Request):
                    step = flow.send((yield step))
                else:
                    step = flow.send(await self._carrier.ado(step))
        except StopIteration:
            return
        finally:
            flow.close()

    def _flow(self, request: httpx2.Request) -> _Flow:
        """Send the request, and once more if a newer token may help."""
        origin = request.url.origin
        if origin not in self._origins or _has_its_own(request):
            yield request
            return
        sent = yield from self._keeper.tokens()
        response = yield _with(request, sent.access_token)
        if (
            not _refused(response, sent.access_token)
            or self._uncured.get(origin) == sent.access_token
        ):
            return
        try:
            newer = yield from self._keeper.tokens(refused=sent.access_token)
        except LimenUnavailable:
            return
        if newer.account != sent.account or not _may_be_repeated(request, response):
            return
        response = yield _with(request, newer.access_token)
        if _refused(response, newer.access_token):
            # A server that refuses every token wants no refreshes.
            self._uncured[origin] = newer.access_token

    def _run(self, steps: Steps[None]) -> None:
        try:
            step = next(steps)
            while True:
                step = steps.send(self._carrier.do(step))
        except StopIteration:
            return
        finally:
            steps.close()

    async def _arun(self, steps: Steps[None]) -> None:
        try:
            step = next(steps)
            while True:
                step = steps.send(await self._carrier.ado(step))
        except StopIteration:
            return
        finally:
            steps.close()


def _safe(url: str, name: str) -> httpx2.URL:
    parsed = httpx2.URL(url)
    if parsed.scheme != "https" and not (parsed.scheme == "http" and _is_loopback(parsed.host)):
        raise ValueError(
            f"{name} must be https, or http to this machine: https://login.example.com"
        )
    if not parsed.host or parsed.userinfo or parsed.query or parsed.fragment:
        raise ValueError(f"{name} must be an address alone: https://login.example.com")
    return parsed


def _origin(url: str) -> httpx2.Origin:
    parsed = _safe(url, "send_to")
    if parsed.path not in {"", "/"}:
        raise ValueError("send_to takes origins, without a path: https://api.example.com")
    return parsed.origin


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _credentials(email: str | None, password: str | None) -> Credentials | None:
    if email is not None and password is not None:
        return Credentials(email, password)
    if email is None and password is None:
        return None
    raise ValueError("email and password go together: give both, or neither.")


def _has_its_own(request: httpx2.Request) -> bool:
    header = request.headers.get("Authorization")
    return header is not None and header != request.extensions.get(_OURS)


def _with(request: httpx2.Request, token: str) -> httpx2.Request:
    request.headers["Authorization"] = request.extensions[_OURS] = f"Bearer {token}"
    return request


def _refused(response: httpx2.Response, token: str) -> bool:
    """Say whether this token was: not a password, nor a request redirected without the token."""
    return (
        response.status_code == httpx2.codes.UNAUTHORIZED
        and "invalid_token" in response.headers.get("WWW-Authenticate", "")
        and response.request.headers.get("Authorization") == f"Bearer {token}"
    )


def _may_be_repeated(request: httpx2.Request, response: httpx2.Response) -> bool:
    was_refused_itself = not response.history or request.method in _REPEATABLE
    return was_refused_itself and isinstance(request.stream, httpx2.ByteStream)
