"""Opening an account for oneself: within limits, as the operator lets people, told or by mail."""

import asyncio
from pathlib import Path

import pytest

from limen.clients import Client
from limen.database.schema import accounts, audit, audit_pending
from limen.errors import (
    Busy,
    DatabaseUnavailable,
    EmailTaken,
    InvalidCode,
    InvalidCredentials,
    InvalidRequest,
    InvitationRequired,
    RegistrationClosed,
    TooManyAttempts,
)
from limen.events import Event
from limen.limen import Limen
from limen.origin import Origin, coming_from
from limen.registration import Registration
from limen.settings import Limit, Settings
from tests.clock import ManualClock
from tests.crowds import full, hashes
from tests.mailbox import MAIL_FROM, SMTP_URL, answered, mails, written
from tests.people import PASSWORD
from tests.stored import rows, slots_taken

pytestmark = pytest.mark.anyio

HERE = "203.0.113.7"


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        signing_algorithm="ES256",
        register_address_limit=Limit(3, 3600),
    )


@pytest.fixture
def registration(limen: Limen) -> Registration:
    return limen.features.registration


async def register(registration: Registration, number: int, address: str = HERE) -> None:
    await registration.register(f"u{number}@example.com", PASSWORD, address)


async def test_the_limit_counts_registrations_of_an_address(
    limen: Limen, registration: Registration, clock: ManualClock, happened: list[Event]
) -> None:
    for number in range(3):
        await register(registration, number)
    happened.clear()

    with pytest.raises(TooManyAttempts) as refused:
        await register(registration, 3)

    assert (refused.value.policy, refused.value.retry_after) == ("register-address", 3600)
    assert hashes(happened) == 0
    assert len(await rows(limen, accounts)) == 3
    await register(registration, 3, "203.0.113.8")
    clock.tick(3600)
    await register(registration, 4)


async def test_a_line_of_ipv6_is_one_address(registration: Registration) -> None:
    for number in range(3):
        await register(registration, number, f"2001:db8:7:7::{number}")

    with pytest.raises(TooManyAttempts):
        await register(registration, 3, "2001:db8:7:7:ffff::1")


@pytest.mark.parametrize(
    ("email", "password", "error"),
    [
        ("taken@example.com", PASSWORD, EmailTaken),
        ("nobody", PASSWORD, InvalidRequest),
        ("new@example.com", "short", InvalidRequest),
    ],
    ids=["taken", "no address", "bad password"],
)
async def test_a_slot_is_kept_whatever_comes_of_it(
    limen: Limen, registration: Registration, email: str, password: str, error: type[Exception]
) -> None:
    """Or else the limit would not bound who asks which addresses are taken."""
    await limen.features.accounts.create("taken@example.com", PASSWORD)
    for _ in range(3):
        with pytest.raises(error):
            await registration.register(email, password, HERE)

    with pytest.raises(TooManyAttempts):
        await registration.register(email, password, HERE)


async def test_a_full_hashing_room_is_told_and_opens_nothing(
    limen: Limen, registration: Registration
) -> None:
    async with full(limen.features.room):
        with pytest.raises(Busy):
            await register(registration, 1)

    assert await rows(limen, accounts) == []
    await register(registration, 1)


async def test_who_registers_is_sent_a_code_to_the_stored_address(
    limen: Limen, registration: Registration
) -> None:
    account = await registration.register(" Ada@Example.com ", PASSWORD, HERE)

    assert account is not None
    (mail,) = await mails(limen)
    assert (mail.message, mail.to, mail.user_id) == ("verify", "Ada@example.com", account.user_id)
    assert account.verified_at is None


async def test_what_cannot_be_mailed_is_not_opened(
    limen: Limen, registration: Registration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account and the mail are written in one transaction."""

    async def full_disk(*_: object, **__: object) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr(limen.features.outbox, "put", full_disk)
    with pytest.raises(DatabaseUnavailable):
        await registration.register("ada@example.com", PASSWORD, HERE)

    assert await rows(limen, accounts) == []


async def test_an_invitation_is_good_where_everybody_may_register(
    limen: Limen, registration: Registration
) -> None:
    invited = await limen.features.invitations.invite("ada@example.com", scope="billing")
    account = await registration.register(
        "ada@example.com", PASSWORD, HERE, invitation=invited.code.token
    )

    assert account is not None
    assert (account.user_id, account.scope) == (invited.account.user_id, "billing")


class TestClosed:
    @pytest.fixture
    def settings(self, tmp_path: Path, database_url: str) -> Settings:
        return Settings(
            data_dir=tmp_path / "data",
            database_url=database_url,
            signing_algorithm="ES256",
            registration="closed",
        )

    async def test_nothing_is_looked_at(self, limen: Limen, happened: list[Event]) -> None:
        invited = await limen.features.invitations.invite("invited@example.com")
        happened.clear()
        for email in ("new@example.com", "nobody", "invited@example.com"):
            for invitation in (None, invited.code.token):
                with pytest.raises(RegistrationClosed):
                    await limen.features.registration.register(
                        email, PASSWORD, HERE, invitation=invitation
                    )

        assert await slots_taken(limen) == {}
        assert len(await rows(limen, accounts)) == 1
        assert happened == []


class TestByInvitation:
    @pytest.fixture
    def settings(self, tmp_path: Path, database_url: str) -> Settings:
        return Settings(
            data_dir=tmp_path / "data",
            database_url=database_url,
            signing_algorithm="ES256",
            registration="invite",
            register_address_limit=Limit(3, 3600),
        )

    async def test_without_one_nothing_is_looked_at(
        self, limen: Limen, happened: list[Event]
    ) -> None:
        await limen.features.invitations.invite("invited@example.com")
        happened.clear()
        for email in ("new@example.com", "nobody", "invited@example.com"):
            with pytest.raises(InvitationRequired):
                await limen.features.registration.register(email, PASSWORD, HERE)

        assert await slots_taken(limen) == {}
        assert happened == []

    async def test_with_one_the_account_is_open_and_its_address_verified(
        self, limen: Limen, clock: ManualClock
    ) -> None:
        invited = await limen.features.invitations.invite("ada@example.com")
        account = await limen.features.registration.register(
            "ADA@example.com", PASSWORD, HERE, invitation=invited.code.token
        )

        assert account is not None
        assert account.user_id == invited.account.user_id
        assert account.verified_at == clock.now

    async def test_attempts_with_wrong_ones_are_limited(self, limen: Limen) -> None:
        for _ in range(3):
            with pytest.raises(InvalidCode):
                await limen.features.registration.register(
                    "ada@example.com", PASSWORD, HERE, invitation="x" * 22
                )

        with pytest.raises(TooManyAttempts) as refused:
            await limen.features.registration.register(
                "ada@example.com", PASSWORD, HERE, invitation="x" * 22
            )
        assert refused.value.policy == "register-address"


class TestByMail:
    """Registering where mail is configured: what comes of it is told by mail alone."""

    @pytest.fixture
    def settings(self, tmp_path: Path, database_url: str) -> Settings:
        return Settings(
            data_dir=tmp_path / "data",
            database_url=database_url,
            signing_algorithm="ES256",
            smtp_url=SMTP_URL,
            mail_from=MAIL_FROM,
        )

    async def test_a_free_address_is_opened_and_sent_a_code(
        self, limen: Limen, registration: Registration
    ) -> None:
        assert await registration.register("Ada@Example.com", PASSWORD, HERE) is None
        (mail,) = await mails(limen)
        (account,) = await rows(limen, accounts)

        assert (mail.message, mail.to, mail.user_id) == (
            "verify",
            "Ada@example.com",
            account.user_id,
        )
        assert account.verified_at is None
        signed_in = await limen.features.login.sign_in(
            "ada@example.com", PASSWORD, Client("198.51.100.7")
        )
        assert signed_in.tokens.access_token

    async def test_the_password_of_an_unverified_account_stays_and_a_code_is_sent(
        self, limen: Limen, registration: Registration
    ) -> None:
        for password in (PASSWORD, "quite another password"):
            await registration.register("ada@example.com", password, HERE)
            await answered(limen)
        first, second = await mails(limen, "ada@example.com")
        client = Client("198.51.100.7")

        assert (first.message, second.message) == ("verify", "verify")
        assert first.token != second.token
        await limen.features.login.check("ada@example.com", PASSWORD, client)
        with pytest.raises(InvalidCredentials):
            await limen.features.login.check("ada@example.com", "quite another password", client)

    async def test_the_owner_of_a_verified_account_is_told(
        self, limen: Limen, registration: Registration
    ) -> None:
        ada = await limen.features.accounts.create("Ada@example.com", PASSWORD)
        await limen.features.accounts.change(ada.user_id, "email_verified", verified_at=1)
        before = await rows(limen, accounts)
        await registration.register("ada@EXAMPLE.com", "quite another password", HERE)
        (mail,) = await mails(limen)

        assert (mail.message, mail.to, mail.code) == ("already_there", "Ada@example.com", None)
        assert await rows(limen, accounts) == before

    async def test_the_owner_of_a_disabled_account_is_told_nothing(
        self, limen: Limen, registration: Registration
    ) -> None:
        ada = await limen.features.accounts.create("ada@example.com", PASSWORD)
        await limen.features.accounts.disable(ada.user_id)
        await registration.register("ada@example.com", PASSWORD, HERE)

        assert await mails(limen) == []

    async def test_who_was_invited_is_told_that_he_has_an_account(
        self, limen: Limen, registration: Registration
    ) -> None:
        invited = await limen.features.invitations.invite("ada@example.com")
        await registration.register("ada@example.com", PASSWORD, HERE)

        assert {mail.message for mail in await mails(limen)} == {"invite", "already_there"}
        assert await registration.register(
            "ada@example.com", PASSWORD, HERE, invitation=invited.code.token
        )

    async def test_what_is_written_down_is_sealed_and_goes(
        self, limen: Limen, registration: Registration
    ) -> None:
        await registration.register("ada@example.com", PASSWORD, HERE)
        (waiting,) = await written(limen, "request")
        assert waiting.user_id is None
        assert b"ada" not in (waiting.sealed or b"")
        await answered(limen)

        (done,) = await written(limen, "request")
        assert (done.subject, done.outcome, done.sealed) == ("register", "delivered", None)

    async def test_what_comes_of_it_is_recorded_as_coming_from_where_it_was_asked(
        self, limen: Limen, registration: Registration
    ) -> None:
        with coming_from(Origin("anonymous", address=HERE)):
            await registration.register("ada@example.com", PASSWORD, HERE)
        await answered(limen)

        recorded = [*await rows(limen, audit_pending), *await rows(limen, audit)]
        entries = {row.kind: row for row in recorded}
        assert entries["account.registered"].actor == "anonymous"
        assert HERE in entries["account.registered"].personal

    async def test_a_mailbox_is_not_flooded_whoever_asks(
        self, limen: Limen, registration: Registration
    ) -> None:
        for number in range(5):
            await registration.register("ada@example.com", PASSWORD, f"198.51.100.{number}")
            await mails(limen)  # at the same moment they would get in each other's way

        with pytest.raises(TooManyAttempts) as refused:
            await registration.register("ADA@example.com", PASSWORD, HERE)
        assert refused.value.policy == "mail"
        assert len(await mails(limen)) == 5
        assert await registration.register("bob@example.com", PASSWORD, HERE) is None

    async def test_a_request_worked_off_twice_opens_one_account(
        self, limen: Limen, registration: Registration
    ) -> None:
        """As when a process dies after it has committed, and before it has said so."""
        asked = {
            "email": "ada@example.com",
            "email_key": "ada@example.com",
            "password_hash": await limen.features.passwords.hash(PASSWORD),
        }
        await registration._answer(asked)
        await registration._answer(asked)

        assert len(await rows(limen, accounts)) == 1
        assert [mail.message for mail in await mails(limen)] == ["verify", "verify"]

    async def test_requests_for_one_address_at_once_open_one_account(
        self, limen: Limen, registration: Registration, clock: ManualClock
    ) -> None:
        await asyncio.gather(
            *(registration.register("ada@example.com", PASSWORD, HERE) for _ in range(5))
        )
        for _ in range(3):
            await answered(limen)
            clock.tick(60)
        await answered(limen)

        assert len(await rows(limen, accounts)) == 1
        assert [mail.message for mail in await mails(limen)] == ["verify"] * 5
