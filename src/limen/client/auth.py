"""An httpx2 `Auth`, for `Client` and `AsyncClient` alike, that keeps its user signed in.

The access token goes to limen's own origin and to those in `send_to`; to any other it never goes.
httpx2 drops the header where a redirect leaves an origin, and nothing here puts it back. A 401 has
the token refreshed and the request sent once more, if it was our token that was refused.

Refreshing, signing in and signing out use a client of their own, made for that one call. Yielded
into the client that is being authenticated, a refresh would follow that one's redirects, with the
refresh token in its body; it would pass that one's hooks; and a lost answer would be out of reach.

A body that is read as it is sent, such as a generator or a file, cannot be sent twice. Such a
request gets its 401, and the token is fresh for whoever repeats it.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from ipaddress import ip_address
from typing import Any, TypeAlias

import httpx2

from limen.client.calls import Answer, Call, Credentials, Pause, Steps
from limen.client.keeper import Keeper
from limen.client.stores import MemoryStore, Store

PREFIX = "/api/v1/auth"
TIMEOUT_SECONDS = 10.0
_Flow: TypeAlias = Generator[Call | Pause | httpx2.Request, Any, None]


class LimenAuth(httpx2.Auth):
    """Keeps signed in to the limen at `url`, in a `store` that others may share.

    With `email` and `password` it signs in whenever nobody is. `send_to` are further origins that
    may see the access token. `client` and `async_client` make the clients that talk to limen.

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
        client: Callable[[], httpx2.Client] = httpx2.Client,
        async_client: Callable[[], httpx2.AsyncClient] = httpx2.AsyncClient,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._url = _safe(url, "url")
        self._origins = {self._url.origin, *(_origin(other) for other in send_to)}
        self._keeper = Keeper(store or MemoryStore(), _credentials(email, password), clock)
        self._client, self._async_client = client, async_client
        self._uncured: dict[httpx2.Origin, str] = {}

    def __repr__(self) -> str:
        return f"LimenAuth({str(self._url)!r})"

    def sign_in(self, email: str, password: str) -> None:
        """Start a session and keep it. The answer to a wrong password is `SignInRefused`."""
        self._run(self._keeper.sign_in(Credentials(email, password)))

    async def asign_in(self, email: str, password: str) -> None:
        await self._arun(self._keeper.sign_in(Credentials(email, password)))

    def logout(self) -> None:
        """End the session and forget it; `LogoutUnconfirmed` if limen could not be told."""
        self._run(self._keeper.log_out())

    async def alogout(self) -> None:
        await self._arun(self._keeper.log_out())

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
                    step = flow.send(self._do(step))
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
                    step = flow.send(await self._ado(step))
        except StopIteration:
            return
        finally:
            flow.close()

    def _flow(self, request: httpx2.Request) -> _Flow:
        """Send the request, and once more if a newer token may help."""
        if request.url.origin not in self._origins:
            yield request
            return
        token = yield from self._keeper.token()
        response = yield _with(request, token)
        origin = request.url.origin
        if not _refused(response, token) or self._uncured.get(origin) == token:
            return
        newer = yield from self._keeper.token(refused=token)
        if not isinstance(request.stream, httpx2.ByteStream):
            return
        response = yield _with(request, newer)
        if _refused(response, newer):
            self._uncured[origin] = newer  # a server that refuses every token wants no refreshes

    def _run(self, steps: Steps[None]) -> None:
        try:
            step = next(steps)
            while True:
                step = steps.send(self._do(step))
        except StopIteration:
            return
        finally:
            steps.close()

    async def _arun(self, steps: Steps[None]) -> None:
        try:
            step = next(steps)
            while True:
                step = steps.send(await self._ado(step))
        except StopIteration:
            return
        finally:
            steps.close()

    def _do(self, step: Call | Pause) -> Answer | None:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        try:
            with self._client() as client:
                request = self._request(client, step)
                return _answer(client.send(request, auth=None, follow_redirects=False))
        except httpx2.HTTPError as error:
            return Answer(0, why=type(error).__name__)  # its text may hold the request

    async def _ado(self, step: Call | Pause) -> Answer | None:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        try:
            async with self._async_client() as client:
                request = self._request(client, step)
                return _answer(await client.send(request, auth=None, follow_redirects=False))
        except httpx2.HTTPError as error:
            return Answer(0, why=type(error).__name__)

    def _request(self, client: httpx2.Client | httpx2.AsyncClient, call: Call) -> httpx2.Request:
        url = str(self._url).rstrip("/") + PREFIX + call.path
        return client.build_request(
            "POST", url, json=dict(call.body), headers=dict(call.headers), timeout=TIMEOUT_SECONDS
        )


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


def _with(request: httpx2.Request, token: str) -> httpx2.Request:
    request.headers["Authorization"] = f"Bearer {token}"
    return request


def _refused(response: httpx2.Response, token: str) -> bool:
    """Say whether it was this token that was refused, and not a request redirected without it."""
    sent = response.request.headers.get("Authorization")
    return response.status_code == httpx2.codes.UNAUTHORIZED and sent == f"Bearer {token}"


def _answer(response: httpx2.Response) -> Answer:
    try:
        document = response.json()
    except ValueError:
        document = None
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, document if isinstance(document, dict) else {})
