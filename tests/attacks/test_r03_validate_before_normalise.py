"""R3, GHSA-7rqj-j65f-68wh (next-auth): an address was checked first and normalised afterwards.

`ada@evil.example＠example.com` passed for one at example.com, and became one at evil.example.
"""

from pathlib import Path

import pytest

from limen.database.schema import accounts
from limen.limen import Limen
from limen.settings import Settings
from tests.conftest import on_sqlite
from tests.mailbox import mails
from tests.people import PASSWORD, Person
from tests.stored import rows
from tests.strangers import ASKING, with_mail

pytestmark = [pytest.mark.anyio, on_sqlite]  # requests are read alike on both

BECOMES_ANOTHER = [
    "ada＠example.com",
    "ada@evil.example＠example.com",
    "ada﹫example.com",
    "a@b@c",
    "victim@example.com@evil.example",
    "victim@example.com,eve@evil.example",
    "victim@example.com\uff0ceve@evil.example",
    "victim@example.com\u2028eve@evil.example",
    "victim@example.com\r\nBcc: eve@evil.example",
    "<victim@example.com>eve@evil.example",
    "victim@example.com\u2024evil.example\uff20x",
    "victim@exam\u2100ple.com",  # normalised, it has a slash
    "\u2100victim@\u2101",
    "victim%00@example.com\u0000",
]
NORMALISED = {
    "vic\uff54im@example.com": "victim@example.com",
    "victim@ex\u1d43mple.com": "victim@example.com",
    "victim@example\uff0ecom": "victim@example.com",
    "victim@example\u2488com": "victim@example1.com",  # a digit with a dot
}


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return with_mail(tmp_path, database_url)


@pytest.mark.parametrize("what", ["register", "change"])
@pytest.mark.parametrize("address", BECOMES_ANOTHER, ids=ascii)
async def test_what_would_become_another_address_is_refused(
    limen: Limen, ada: Person, what: str, address: str
) -> None:
    await limen.features.accounts.create("victim@example.com", PASSWORD)
    answer = await ASKING[what](ada, address)

    assert (answer.status_code, answer.json()["field"]) == (422, "email")
    assert await mails(limen) == []
    assert len(await rows(limen, accounts)) == 2


@pytest.mark.parametrize("address", BECOMES_ANOTHER, ids=ascii)
async def test_where_every_text_is_answered_it_mails_nobody(
    limen: Limen, ada: Person, address: str
) -> None:
    await limen.features.accounts.create("victim@example.com", PASSWORD)
    answer = await ASKING["verify"](ada, address)

    assert answer.status_code in (202, 422)  # what holds control characters is no text at all
    assert await mails(limen) == []


@pytest.mark.parametrize(("spelling", "address"), NORMALISED.items(), ids=ascii)
async def test_what_is_normalised_is_what_is_stored_and_mailed(
    limen: Limen, ada: Person, spelling: str, address: str
) -> None:
    assert (await ASKING["register"](ada, spelling)).status_code == 202

    (mail,) = await mails(limen)
    assert mail.to == address
    assert {row.email for row in await rows(limen, accounts)} == {ada.email, address}
