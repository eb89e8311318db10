"""examples/browser runs as its docstring says, and its page does what its buttons say."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from tests.browser.devtools import SECONDS, chromium
from tests.cli.processes import environment
from tests.people import PASSWORD

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]

FILL_IN = f"""
    for (const [name, value] of [["email", "ada@example.com"], ["password", "{PASSWORD}"]])
        document.querySelector(`[name=${{name}}]`).value = value
"""


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "uvicorn", "--app-dir", str(ROOT), "--port", str(port)],
        "examples.browser.app:app",
        cwd=tmp_path,
        env=environment(tmp_path / "limen-data"),
    )
    url = f"http://localhost:{port}/"
    try:
        async with asyncio.timeout(SECONDS), httpx2.AsyncClient(trust_env=False) as client:
            while not await _answers(client, f"http://127.0.0.1:{port}/"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        yield url
    finally:
        process.terminate()
        await process.wait()


async def _answers(client: httpx2.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == 200
    except httpx2.TransportError:
        return False


async def test_the_page_registers_fetches_and_signs_out(url: str, tmp_path: Path) -> None:
    async with chromium(tmp_path / "profile") as browser:
        tab, other = await browser.tab(url), await browser.tab(url)
        for page in (tab, other):
            await page.until("!document.getElementById('sign-in').hidden")
        await tab.run(FILL_IN)
        await tab.run("document.querySelector('[value=register]').click()")
        await other.until("!document.getElementById('orders').hidden")

        await other.run("document.getElementById('fetch').click()")
        await other.until("document.getElementById('said').value.startsWith('{\"orders of\":')")
        await other.run("document.getElementById('sign-out').click()")
        await tab.until("!document.getElementById('sign-in').hidden")

    assert not [line for line in browser.console if '"error"' in line and "favicon" not in line]
