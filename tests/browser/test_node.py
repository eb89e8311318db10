"""limen.js in Node: its claims one by one, and many rounds of a storm."""

import asyncio
import os
import re
from collections import Counter
from pathlib import Path

import pytest

from limen.events import Event, Refreshed, SessionEnded
from limen.settings import Settings
from tests.browser.programs import NODE, program
from tests.browser.weather import Network

pytestmark = pytest.mark.anyio

CLAIMS = Path(__file__).parent / "limen.test.mjs"


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Sessions last, for a storm of weeks."""
    return Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        signing_algorithm="ES256",
        session_lifetime=730 * 86400,
    )


async def test_the_module_keeps_its_claims(network: Network, happened: list[Event]) -> None:
    node = await asyncio.create_subprocess_exec(
        program(*NODE),
        "--test",
        "--test-reporter=tap",
        str(CLAIMS),
        env={**os.environ, "LIMEN_TEST_URL": network.url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = (await node.communicate())[0].decode()

    assert node.returncode == 0, said
    assert int(re.findall(r"^# pass (\d+)", said, re.MULTILINE)[0]) >= 29
    ended = [event.reason for event in happened if isinstance(event, SessionEnded)]
    outcomes = Counter(event.outcome for event in happened if isinstance(event, Refreshed))
    assert set(ended) == {"logout"}
    assert outcomes["rotated"] > 40
    assert not outcomes["replayed"]
    assert not [target for target in network.targets if "eyJ" in target]
    print(*re.findall(r"figures: (.*)", said), sep="\n")
    print(f"sign-outs 0; refreshes {dict(outcomes)}; network {dict(network.fell)}")
