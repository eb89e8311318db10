"""R10: two accounts of one address, by a race, by its spelling, or by changing to it meanwhile."""

import asyncio
import random
from pathlib import Path

import pytest

from limen.clients import Client
from limen.confirmation import Confirming
from limen.database.schema import accounts
from limen.errors import EmailTaken, InvalidCode
from limen.limen import Limen
from limen.settings import Limit, Settings
from tests.clock import ManualClock
from tests.mailbox import answered, last_mail
from tests.people import PASSWORD, Person
from tests.stored import rows
from tests.strangers import change, with_mail

pytestmark = pytest.mark.anyio

ADDRESS = "grace.hopper@example.com"
CROWD = 40


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return with_mail(
        tmp_path,
        database_url,
        mail_limit=Limit(CROWD, 3600),
        mail_address_limit=Limit(CROWD, 3600),
    )


def spellings(count: int) -> list[str]:
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed: {seed}")
    chance = random.Random(seed)
    letters = ["".join(chance.choice((c, c.upper())) for c in ADDRESS) for _ in range(count // 2)]
    return [*letters, *["ｇｒａｃｅ.hopper@example.com", f" {ADDRESS} "] * (count // 4)]


async def test_a_crowd_that_registers_one_address_by_mail_has_one_account(
    limen: Limen, twin: Limen, clock: ManualClock
) -> None:
    workers = (limen, twin) * (CROWD // 2)
    asking = zip(workers, spellings(CROWD), strict=True)
    await asyncio.gather(
        *(one.features.registration.register(text, PASSWORD, "203.0.113.7") for one, text in asking)
    )
    for _ in range(4):  # whoever met another at the same moment looks again a little later
        await asyncio.gather(answered(limen), answered(twin))
        clock.tick(120)

    (account,) = await rows(limen, accounts)
    assert account.email_key == ADDRESS
    await limen.features.login.sign_in(ADDRESS, PASSWORD, Client("198.51.100.7"))


async def test_registering_and_changing_to_it_at_once_end_in_one_account_of_it(
    limen: Limen, twin: Limen, ada: Person
) -> None:
    assert (await change(ada, ADDRESS)).status_code == 202
    code = (await last_mail(limen, ADDRESS)).token
    outcomes = await asyncio.gather(
        limen.features.email_change.confirm(
            Confirming(code, Client("203.0.113.7"), password=PASSWORD)
        ),
        *(twin.features.accounts.create(text, PASSWORD) for text in spellings(8)),
        return_exceptions=True,
    )

    failures = [one for one in outcomes if isinstance(one, BaseException)]
    assert all(isinstance(one, EmailTaken | InvalidCode) for one in failures)
    assert len(failures) == len(outcomes) - 1
    assert [row.email_key for row in await rows(limen, accounts)].count(ADDRESS) == 1
