"""P5: an imported hash that asks for gigabytes or hours: one sign-in to its account stops all."""

import httpx2
import pytest

from limen.events import Event, PasswordHashed
from limen.limen import Limen
from limen.stored_hashes import fault_of, front_of
from limen.transfer.csv_file import accounts_in
from tests.crowds import hashes
from tests.people import PASSWORD, attempt
from tests.test_stored_hashes import a_bcrypt, argon2, pbkdf2, phc_scrypt, scrypt
from tests.transfer.files import imported, lines, stored

pytestmark = pytest.mark.anyio

# One that would take seconds or a gigabyte at least, and one that no machine could ever compute.
HOSTILE = {
    "memory": argon2().replace("m=8", "m=4194304"),
    "all memory": argon2().replace("m=8", "m=4294967295"),
    "passes": argon2().replace("t=1", "t=99999"),
    "lanes": argon2().replace("m=8", "m=262144").replace("p=1", "p=9999"),
    "Django's memory": "argon2" + argon2().replace("m=8", "m=4194304"),
    "bcrypt": a_bcrypt().replace("$12$", "$31$"),
    "Django's bcrypt": "bcrypt_sha256$" + a_bcrypt().replace("$12$", "$31$"),
    "iterations": pbkdf2().replace("$150000$", "$50000000$"),
    "all iterations": pbkdf2().replace("$150000$", "$9999999999$"),
    "N": scrypt().replace("$16384$", "$1073741824$"),
    "p": scrypt().replace("$8$1$", "$8$100000$"),
    "r": scrypt().replace("$8$1$", "$9999999$1$"),
    "ln": phc_scrypt().replace("ln=14", "ln=99"),
}


async def test_an_import_refuses_what_is_too_expensive_without_computing_it(
    limen: Limen, happened: list[Event]
) -> None:
    names = list(HOSTILE)
    texts = [f'person{row}@example.com,"{HOSTILE[name]}"' for row, name in enumerate(names)]
    report = await imported(limen, accounts_in(lines("email,password_hash", *texts)))

    assert report.imported == 0
    assert {names[row - 2]: code for row, code in report.refused} == dict.fromkeys(
        names, "hash_cost"
    )
    assert await stored(limen) == {}
    assert hashes(happened) == 0


async def test_one_that_got_into_the_database_all_the_same_costs_what_any_other_does(
    limen: Limen, http: httpx2.AsyncClient, happened: list[Event]
) -> None:
    """By the hand of somebody who can write there: it is not computed, and never matches."""
    account = await limen.features.accounts.create("ada@example.com", PASSWORD)
    table = "UPDATE accounts SET password_hash = "
    for stored_hash in HOSTILE.values():
        async with limen.features.database.write() as connection:
            await connection.exec_driver_sql(f"{table}'{stored_hash}'")
        verdict = await limen.features.passwords.verify(PASSWORD, stored_hash)
        assert not verdict.matches
    answered = await attempt(http, account.email)

    assert answered.status_code == 401
    took = [event.took for event in happened if isinstance(event, PasswordHashed)]
    assert len(took) == len(HOSTILE) + 2  # one each, the first password, and the sign-in


async def test_nor_does_it_become_what_unknown_addresses_are_checked_against(limen: Limen) -> None:
    passwords = limen.features.passwords
    passwords.learn(list(HOSTILE.values()))
    chosen = {passwords.stand_in(f"person{number}@example.com") for number in range(200)}

    assert {front_of(one) for one in chosen} == {"$argon2id$v=19$m=8,t=1,p=1$"}


@pytest.mark.parametrize("stored_hash", HOSTILE.values(), ids=HOSTILE)
def test_it_is_its_cost_that_is_refused(stored_hash: str) -> None:
    assert fault_of(stored_hash) == "cost"
