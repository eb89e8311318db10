"""Invitations: accounts that wait for their owners, and who may open them."""

import asyncio

import pytest

from limen.accounts import Account
from limen.clients import Client
from limen.database.schema import accounts as table
from limen.database.schema import codes
from limen.errors import (
    EmailTaken,
    InvalidCode,
    InvalidCredentials,
    InvalidRequest,
    PasswordRefused,
    TooManyAttempts,
)
from limen.events import AccountChanged, Event, Registered
from limen.invitations import Invitations
from limen.limen import Limen
from limen.stored_hashes import front_of
from tests.clock import ManualClock
from tests.mailbox import last_mail, mails
from tests.people import PASSWORD
from tests.stored import rows, slots_taken
from tests.test_codes import wrong

pytestmark = pytest.mark.anyio

ADA = "ada@example.com"
HERE = "203.0.113.7"


@pytest.fixture
def invitations(limen: Limen) -> Invitations:
    return limen.features.invitations


async def accept(limen: Limen, code: str, email: str = ADA, password: str = PASSWORD) -> Account:
    return await limen.features.invitations.accept(code, email, password, HERE)


async def signs_in(limen: Limen, password: str = PASSWORD) -> bool:
    try:
        await limen.features.login.sign_in(ADA, password, Client("198.51.100.7"))
    except InvalidCredentials:
        return False
    return True


async def test_an_invitation_is_mailed_to_the_address_and_recorded(
    limen: Limen, invitations: Invitations, happened: list[Event]
) -> None:
    invited = await invitations.invite(" Ada@Example.com", scope="billing", roles="accountant")

    (mail,) = await mails(limen)
    assert (mail.message, mail.to) == ("invite", "Ada@example.com")
    assert mail.code == invited.code
    user_id = invited.account.user_id
    assert Registered(user_id) in happened
    assert AccountChanged(user_id, "invited") in happened
    assert invited.code.token not in repr(invited)


@pytest.mark.parametrize("form", ["token", "digits"])
async def test_who_has_the_code_chooses_the_password_and_has_verified_the_address(
    limen: Limen, invitations: Invitations, clock: ManualClock, happened: list[Event], form: str
) -> None:
    invited = await invitations.invite(ADA, scope="billing", roles="accountant auditor")
    code = invited.code.token if form == "token" else invited.code.digits
    account = await accept(limen, code, "ADA@example.com")

    assert account.user_id == invited.account.user_id
    assert (account.scope, account.roles) == ("billing", "accountant auditor")
    assert (account.verified_at, account.reset_required_at) == (clock.now, None)
    assert AccountChanged(account.user_id, "invitation_accepted") in happened
    signed_in = await limen.features.login.sign_in(ADA, PASSWORD, Client(HERE))
    claims = await limen.verifier.verify(signed_in.tokens.access_token)
    assert sorted(claims.scopes | claims.roles) == ["accountant", "auditor", "billing"]
    assert claims.email_verified


async def test_until_then_no_password_opens_the_account(
    limen: Limen, invitations: Invitations
) -> None:
    invited = await invitations.invite(ADA)
    (row,) = await rows(limen, table)

    for password in ("", PASSWORD, ADA, row.password_hash, invited.code.token):
        assert not await signs_in(limen, password)


async def test_signing_in_costs_what_it_cost_before_the_invitation(
    limen: Limen, invitations: Invitations
) -> None:
    """Among accounts from elsewhere, an unknown address may have the stand-in of another kind."""
    old = "$argon2id$v=19$m=16,t=2,p=1$c29tZXNhbHQ$x9TmWMOFmhb4KzTDzsGEUPVwUhGWGLlLyzqwUYwRYeM"
    limen.features.passwords.learn([old] * 3 + [limen.features.passwords.of_nobody(ADA)])
    kinds = set()
    for number in range(20):
        email = f"u{number}@example.com"
        before = front_of(limen.features.passwords.stand_in(email))
        invited = await invitations.invite(email)
        assert front_of(invited.account.password_hash) == before
        kinds.add(before)

    assert len(kinds) == 2


async def test_an_invitation_is_for_its_mailbox_alone(
    limen: Limen, invitations: Invitations
) -> None:
    ada, bob = await invitations.invite(ADA), await invitations.invite("bob@example.com")

    for email in ("eve@example.com", "bob@example.com", "ada@example.com.example"):
        for code in (ada.code.token, ada.code.digits):
            if code != bob.code.digits:
                with pytest.raises(InvalidCode):
                    await accept(limen, code, email)
    assert (await accept(limen, ada.code.token)).user_id == ada.account.user_id


async def test_an_invitation_is_accepted_once(limen: Limen, invitations: Invitations) -> None:
    invited = await invitations.invite(ADA)
    await accept(limen, invited.code.token)

    for code in (invited.code.token, invited.code.digits):
        with pytest.raises(InvalidCode):
            await accept(limen, code, password="quite another password")
    assert await signs_in(limen)


async def test_fifty_who_accept_at_once_are_one(
    limen: Limen, twin: Limen, invitations: Invitations
) -> None:
    invited = await invitations.invite(ADA)
    outcomes = await asyncio.gather(
        *(
            one.features.invitations.accept(
                invited.code.token, ADA, f"{PASSWORD} {number}", f"198.51.100.{number}"
            )
            for number, one in enumerate((limen, twin) * 25)
        ),
        return_exceptions=True,
    )

    accepted = [number for number, one in enumerate(outcomes) if isinstance(one, Account)]
    assert len(accepted) == 1
    assert all(isinstance(one, Account | InvalidCode | TooManyAttempts) for one in outcomes)
    assert await signs_in(limen, f"{PASSWORD} {accepted[0]}")


async def test_inviting_again_sends_a_newer_code_to_the_same_account(
    limen: Limen, invitations: Invitations
) -> None:
    first = await invitations.invite(ADA, scope="billing", roles="accountant")
    second = await invitations.invite("ADA@example.com", roles="auditor")

    assert first.account.user_id == second.account.user_id
    assert (await last_mail(limen, ADA)).code == second.code
    assert len(await rows(limen, codes)) == 1
    with pytest.raises(InvalidCode):
        await accept(limen, first.code.token)
    account = await accept(limen, second.code.token)
    assert (account.scope, account.roles) == ("billing", "auditor")


@pytest.mark.parametrize("state", ["registered", "accepted", "verified"])
async def test_whoever_has_an_account_is_not_invited(
    limen: Limen, invitations: Invitations, state: str
) -> None:
    if state == "accepted":
        await accept(limen, (await invitations.invite(ADA)).code.token)
    else:
        ada = await limen.features.accounts.create(ADA, PASSWORD)
        if state == "verified":
            await limen.features.accounts.change(ada.user_id, "email_verified", verified_at=1)
    before = await rows(limen, table), await mails(limen)

    with pytest.raises(EmailTaken):
        await invitations.invite("ADA@example.com", scope="admin")
    assert (await rows(limen, table), await mails(limen)) == before


async def test_an_invitation_expires(
    limen: Limen, invitations: Invitations, clock: ManualClock
) -> None:
    invited = await invitations.invite(ADA)
    clock.tick(7 * 86400)
    with pytest.raises(InvalidCode):
        await accept(limen, invited.code.token)

    await accept(limen, (await invitations.invite(ADA)).code.token)


async def test_an_account_that_was_deleted_or_disabled_meanwhile_is_not_opened(
    limen: Limen, invitations: Invitations
) -> None:
    invited = await invitations.invite(ADA)
    await limen.features.accounts.disable(invited.account.user_id)
    with pytest.raises(InvalidCode):
        await accept(limen, invited.code.token)

    await limen.features.accounts.delete(invited.account.user_id)
    with pytest.raises(InvalidCode):
        await accept(limen, invited.code.token)


async def test_a_password_that_the_policy_refuses_uses_nothing_up(
    limen: Limen, invitations: Invitations
) -> None:
    invited = await invitations.invite(ADA)
    with pytest.raises(PasswordRefused):
        await accept(limen, invited.code.token, password=ADA)

    assert await slots_taken(limen) == {}
    assert (await accept(limen, invited.code.token)).verified_at


async def test_wrong_digits_are_limited(limen: Limen, invitations: Invitations) -> None:
    invited = await invitations.invite(ADA)
    for _ in range(5):
        with pytest.raises(InvalidCode):
            await accept(limen, wrong(invited.code.digits))

    with pytest.raises(TooManyAttempts) as refused:
        await accept(limen, invited.code.digits)
    assert refused.value.policy == "code"


REFUSED = {
    "no address": ("nobody", {}, "email"),
    "this machine": ("ada@localhost", {}, "email"),
    "quotes": (ADA, {"scope": 'a"b'}, "scope"),
    "two spaces": (ADA, {"roles": "two  spaces"}, "role"),
}


@pytest.mark.parametrize(("email", "words", "field"), REFUSED.values(), ids=REFUSED)
async def test_what_is_not_acceptable_invites_nobody(
    limen: Limen, email: str, words: dict[str, str], field: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await limen.features.invitations.invite(email, **words)

    assert refused.value.field == field
    assert await rows(limen, table) == []


async def test_two_operators_at_once_make_one_account(
    limen: Limen, twin: Limen, invitations: Invitations
) -> None:
    outcomes = await asyncio.gather(
        *(one.features.invitations.invite(ADA) for one in (limen, twin) * 5),
        return_exceptions=True,
    )

    assert len(await rows(limen, table)) == 1
    assert all(
        not isinstance(one, BaseException) or isinstance(one, EmailTaken) for one in outcomes
    )
    await accept(limen, (await invitations.invite(ADA)).code.token)
