"""The receiver of docs/webhooks.md takes what limen posts, once, and nothing else."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

from limen import outbox
from limen.limen import Limen
from tests.conftest import on_sqlite
from tests.people import Person
from tests.serving import listening

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[1] / "docs" / "webhooks.md"


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is delivered in the background."""
    monkeypatch.setattr(outbox, "ROUND_SECONDS", 3600)


def receiver(secret: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what the page says, as a module."""
    (text,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    monkeypatch.setenv("LIMEN_WEBHOOK_SECRET", secret)
    names: dict[str, Any] = {"__name__": "receiver"}
    exec(compile(text, str(PAGE), "exec"), names)  # noqa: S102  our own page
    return SimpleNamespace(**names)


@on_sqlite
async def test_it_takes_what_limen_posts_and_nothing_else(
    limen: Limen,
    ada: Person,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    webhooks = limen.features.webhooks
    made = await webhooks.create("http://localhost:1/", ["account.changed"])
    page = receiver(made.secrets[0], monkeypatch)
    async with listening(page.app) as url, httpx2.AsyncClient(trust_env=False) as http:
        await webhooks._change(made.id, "enabled", url=f"{url}/limen")
        await limen.features.webhook_letters.refresh()
        await limen.features.accounts.delete(ada.user_id)
        await limen.features.outbox.work("webhook")
        (letter,) = await limen.features.webhook_letters.newest()
        assert (letter.outcome, letter.answer) == ("delivered", "204")
        assert page.seen == {letter.id}

        forged = await http.post(f"{url}/limen", json={"type": "account.changed"})
        assert forged.status_code == 400

    assert capsys.readouterr().out == f"forget {ada.user_id}\n"
