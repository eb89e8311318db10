"""Chromium, driven over its DevTools protocol: tabs of one profile, and what they say."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.browser.programs import CHROMIUM, program

SECONDS = 60  # longer than anything here takes on a busy machine

# No sandbox: that is for foreign pages, and the tests may run as root. Nothing calls home.
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--remote-debugging-port=0",
)


class Browser:
    """A running Chromium with one profile. `console` holds what its tabs have written there."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.console: list[str] = []

    async def tab(self, url: str) -> "Tab":
        """Open a tab and wait until its page says that it is ready."""
        target = await self.send("Target.createTarget", url="about:blank")
        tab = await self._attached(target["targetId"])
        await tab.go(url)
        return tab

    async def opened(self, url: str) -> "Tab":
        """Return the tab that a page has opened itself."""
        async with asyncio.timeout(SECONDS):
            while True:
                for target in (await self.send("Target.getTargets"))["targetInfos"]:
                    if target["url"] == url:
                        return await self._attached(target["targetId"])
                await asyncio.sleep(0.05)

    async def _attached(self, target: str) -> "Tab":
        attached = await self.send("Target.attachToTarget", targetId=target, flatten=True)
        tab = Tab(self, attached["sessionId"])
        for method in ("Runtime.enable", "Log.enable", "Page.enable"):
            await tab.send(method)
        return tab

    async def send(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._connection.send(
            json.dumps(message | ({"sessionId": session} if session else {}))
        )
        async with asyncio.timeout(SECONDS):
            result: dict[str, Any] = await answer
            return result

    async def listen(self) -> None:
        async for text in self._connection:
            message = json.loads(text)
            if "id" in message:
                answer = self._waiting.pop(message["id"])
                if "error" in message:
                    answer.set_exception(AssertionError(message["error"]["message"]))
                else:
                    answer.set_result(message["result"])
            elif message["method"] in ("Runtime.consoleAPICalled", "Log.entryAdded"):
                self.console.append(json.dumps(message["params"]))


class Tab:
    """One page."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        return await self._browser.send(method, self._session, **parameters)

    async def go(self, url: str) -> None:
        await self.send("Page.navigate", url=url)
        await self.until("document.title !== '' && document.title !== 'A tab'")

    async def run(self, script: str) -> Any:
        """Return what an expression, or the promise it gives, comes to."""
        done = await self.send(
            "Runtime.evaluate",
            expression=script,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    async def until(self, condition: str) -> None:
        async with asyncio.timeout(SECONDS):
            while not await self.run(condition):  # noqa: ASYNC110  a page tells nobody
                await asyncio.sleep(0.05)

    async def sleep(self) -> None:
        """Freeze the page, as a browser does with tabs that nobody looks at."""
        await self.send("Page.setWebLifecycleState", state="frozen")

    async def wake(self) -> None:
        await self.send("Page.setWebLifecycleState", state="active")


@asynccontextmanager
async def chromium(profile: Path) -> AsyncIterator[Browser]:
    """Run Chromium for the length of the block."""
    profile.mkdir()  # noqa: ASYNC240  nothing else is going on yet
    with (profile / "output").open("w") as output:
        process = await asyncio.create_subprocess_exec(
            program(*CHROMIUM),
            *OPTIONS,
            f"--user-data-dir={profile}",
            stdout=output,
            stderr=output,
        )
    try:
        async with connect(
            await _address(profile, process), max_size=None, proxy=None
        ) as connection:
            browser = Browser(connection)
            listening = asyncio.create_task(browser.listen())
            yield browser
            listening.cancel()
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _address(profile: Path, process: asyncio.subprocess.Process) -> str:
    async with asyncio.timeout(SECONDS):
        while len(said := _written(profile / "DevToolsActivePort").splitlines()) < 2:
            assert process.returncode is None, _written(profile / "output")
            await asyncio.sleep(0.05)
    return f"ws://127.0.0.1:{said[0]}{said[1]}"


def _written(file: Path) -> str:
    return file.read_text() if file.exists() else ""
