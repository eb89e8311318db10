"""B7: dodging the limit by another spelling of the victim's address (django-allauth 0.44).

Spellings share a key, and so a limit, if and only if they share an account.
"""

import httpx2
import pytest

from limen.emails import canonical, lookup_key
from limen.errors import InvalidRequest
from limen.events import Event
from limen.limen import Limen
from tests.crowds import hashes
from tests.people import attempt, guess, somebody

VICTIM = "victim@example.com"

SAME_ACCOUNT = [
    "VICTIM@example.com",
    "victim@EXAMPLE.COM",
    " victim@example.com",
    "victim@example.com ",
    "\u3000victim@example.com\u00a0",
    "ｖictim@example.com",
    "ＶＩＣＴＩＭ@example.com",
    "v\u2170ctim@example.com",
    "𝓿𝓲𝓬𝓽𝓲𝓶@example.com",
    "victim@ｅｘａｍｐｌｅ.com",
    "victim@example．com",
    "victim@example。com",
    "victim@example｡com",
]

OTHER_ACCOUNT = [
    "victim+1@example.com",
    "vic.tim@example.com",
    "v\u0131ctim@example.com",
    "v\u0130ctim@example.com",
    "v\u0456ctim@example.com",
    "victim@sub.example.com",
    "victim@example.com.example",
]

NO_ACCOUNT = [
    "victim@example.com.",
    '"victim"@example.com',
    "victim@example.com\0",
    "victim@example.com\n",
    "vic\u200btim@example.com",
    "vic\u00adtim@example.com",
    "victim＠example.com",
    "victim@@example.com",
    "<victim@example.com>",
    "victim@example.com,",
    "victim@example.com\ud800",
]


@pytest.mark.parametrize("spelling", SAME_ACCOUNT)
def test_another_spelling_of_the_account_shares_its_limit(spelling: str) -> None:
    assert lookup_key(spelling) == canonical(spelling) == VICTIM


@pytest.mark.parametrize("spelling", OTHER_ACCOUNT)
def test_another_account_does_not_spend_the_victims_attempts(spelling: str) -> None:
    assert lookup_key(spelling) == canonical(spelling) != VICTIM


@pytest.mark.parametrize("spelling", NO_ACCOUNT)
def test_what_is_no_address_reaches_no_account_but_is_counted(spelling: str) -> None:
    with pytest.raises(InvalidRequest):
        canonical(spelling)
    assert lookup_key(spelling) == lookup_key(spelling) != VICTIM
    assert "@" not in lookup_key(spelling)


@pytest.mark.anyio
@pytest.mark.parametrize("is_known", [True, False], ids=["known", "unknown"])
async def test_all_spellings_together_have_five_attempts(
    limen: Limen,
    http: httpx2.AsyncClient,
    stranger: httpx2.AsyncClient,
    happened: list[Event],
    *,
    is_known: bool,
) -> None:
    if is_known:
        await somebody(limen, http, VICTIM)
    happened.clear()

    statuses = [(await guess(stranger, spelling)).status_code for spelling in SAME_ACCOUNT]

    assert statuses == [401] * 5 + [429] * (len(SAME_ACCOUNT) - 5)
    assert hashes(happened) == 5
    assert (await attempt(stranger, VICTIM)).status_code == 429


@pytest.mark.anyio
async def test_guesses_at_others_do_not_lock_the_victim_out(
    limen: Limen, http: httpx2.AsyncClient, stranger: httpx2.AsyncClient
) -> None:
    await somebody(limen, http, VICTIM)
    for other in OTHER_ACCOUNT:
        assert (await guess(stranger, other)).status_code == 401

    assert (await attempt(stranger, VICTIM)).status_code == 200
