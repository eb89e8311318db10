"""E4: what may be asked for an address told whether it has an account: registering, above all.

With mail, every address is answered alike, after the same statements, whatever state it is in.
"""

from pathlib import Path

import pytest

from limen.limen import Limen
from limen.settings import Settings
from tests.mailbox import answered, mails
from tests.people import Person
from tests.strangers import ASKING, Ask, populate, shown, with_mail
from tests.test_costs import counted

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return with_mail(tmp_path, database_url)


@pytest.mark.parametrize("ask", ASKING.values(), ids=ASKING)
async def test_every_address_is_answered_alike_after_the_same_statements(
    limen: Limen, ada: Person, ask: Ask
) -> None:
    emails = await populate(limen)
    seen = []
    for email in emails.values():
        with counted() as cost:
            answer = await ask(ada, email)
        seen.append((shown(answer), cost.statements, cost.commits))
    await answered(limen)

    assert seen[0][0][0] == 202
    assert len(seen[0][1]) > 0
    assert [one for one in seen if one != seen[0]] == []
    assert not any(email.encode() in seen[0][0][1] for email in emails.values())


MAILED = {
    "register": {
        "free": ["verify"],
        "verified": ["already_there"],
        "unverified": ["verify"],
        "disabled": [],
        "invited": ["already_there", "invite"],
    },
    "verify": {
        "free": [],
        "verified": [],
        "unverified": ["verify"],
        "disabled": [],
        "invited": ["invite"],
    },
    "forgot": {
        "free": [],
        "verified": ["reset"],
        "unverified": ["reset"],
        "disabled": [],
        "invited": ["invite", "reset"],
    },
    "change": {
        "free": ["email_change"],
        "verified": ["already_there"],
        "unverified": ["already_there"],
        "disabled": [],
        "invited": ["already_there", "invite"],
    },
}


@pytest.mark.parametrize("what", ASKING)
async def test_the_owner_alone_is_told_by_mail(limen: Limen, ada: Person, what: str) -> None:
    emails = await populate(limen)
    for email in emails.values():
        await ASKING[what](ada, email)

    told = {
        state: sorted(mail.message for mail in await mails(limen, email))
        for state, email in emails.items()
    }
    assert told == MAILED[what]
    assert await mails(limen, ada.email) == []


@pytest.mark.parametrize("what", ["register", "change"])
async def test_what_is_wrong_with_a_request_does_not_depend_on_the_account(
    limen: Limen, ada: Person, what: str
) -> None:
    """What breaks the policy is told before anything is looked up, for every address alike."""
    emails = await populate(limen)
    ada.password = "password"  # a common one, and not hers
    answers = []
    for email in emails.values():
        if what == "change":
            answers.append(shown(await ASKING[what](ada, email)))
        else:
            body = {"email": email, "password": ada.password}
            answers.append(shown(await ada.http.post("/api/v1/auth/register", json=body)))

    assert answers[0][0] == (422 if what == "register" else 403)
    assert [one for one in answers if one != answers[0]] == []
