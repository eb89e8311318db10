"""Carries calls to limen, and brings back what was answered in time.

Each call has a client of its own. Yielded into the client that is being authenticated, a refresh
would follow that one's redirects, with the refresh token in its body; it would pass that one's
hooks; and a lost answer would be out of reach.

httpx2 bounds each phase of a request, and none bounds them all: who answers a byte at a time could
keep the lock of a store for ever. At the deadline a task is cancelled. A thread cannot be, so the
call is made in a second one, which is then left behind and may not begin to send any more.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

import httpx2

from limen.client.calls import DEADLINE_SECONDS, Answer, Call, Pause

PREFIX = "/api/v1/auth"
TIMEOUT_SECONDS = 10.0  # of a phase


@dataclass(frozen=True, slots=True)
class Carrier:
    """Does what the keeper's rules say, in a thread or in a task."""

    url: str
    client: Callable[[], httpx2.Client]
    async_client: Callable[[], httpx2.AsyncClient]
    deadline: float = DEADLINE_SECONDS

    def do(self, step: Call | Pause) -> Answer | None:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        try:
            return self._in_time(step)
        except (httpx2.HTTPError, TimeoutError) as error:
            return Answer(0, why=type(error).__name__)  # its text may hold the request

    async def ado(self, step: Call | Pause) -> Answer | None:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        try:
            async with asyncio.timeout(self.deadline), self.async_client() as client:
                request = self._request(client, step)
                return _answer(await client.send(request, auth=None, follow_redirects=False))
        except (httpx2.HTTPError, TimeoutError) as error:
            return Answer(0, why=type(error).__name__)

    def _in_time(self, call: Call) -> Answer:
        future: Future[Answer] = Future()
        too_late = time.monotonic() + self.deadline

        def work() -> None:
            try:
                future.set_result(self._carried(call, too_late))
            except BaseException as error:  # noqa: BLE001  raised where the answer is waited for
                future.set_exception(error)

        try:
            threading.Thread(target=copy_context().run, args=(work,), daemon=True).start()
        except RuntimeError:  # from Python 3.12 on, a program that ends starts no more threads
            work()
        return future.result(self.deadline)

    def _carried(self, call: Call, too_late: float) -> Answer:
        def look(event: str, _: dict[str, Any]) -> None:
            if event.endswith("send_request_headers.started") and time.monotonic() > too_late:
                raise TimeoutError

        with self.client() as client:
            request = self._request(client, call)
            request.extensions = {**request.extensions, "trace": look}
            return _answer(client.send(request, auth=None, follow_redirects=False))

    def _request(self, client: httpx2.Client | httpx2.AsyncClient, call: Call) -> httpx2.Request:
        url = self.url + PREFIX + call.path
        return client.build_request(
            "POST", url, json=dict(call.body), headers=dict(call.headers), timeout=TIMEOUT_SECONDS
        )


def _answer(response: httpx2.Response) -> Answer:
    try:
        document = response.json()
    except ValueError:
        document = None
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, document if isinstance(document, dict) else {})
