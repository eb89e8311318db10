"""Webhooks: addresses of the operator's that are told what happens (`limen webhooks`).

Each has a secret of its own, with which limen signs what it posts there. It is sealed in the
database and shown once. When it is changed, the one before signs beside it for a day, so that the
receiver can be changed after it; who wants the old one to sign nothing at once changes it twice.

A webhook is reached by https, or by plain http on this very machine. Nothing else is asked of its
address: only the operator names addresses, redirects are not followed, and of an answer nobody is
shown more than the status. What must not be reached from here, such as the metadata service of a
cloud, has no certificate that is trusted.

How what happens becomes letters is in `limen.webhook_letters`, how they are posted in
`limen.webhook_delivery`.
"""

import json
import re
import secrets
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
from sqlalchemy import Row, delete, insert, select, update

from limen.audit import KINDS
from limen.clock import SECOND, Clock
from limen.database.engine import Database
from limen.database.schema import webhooks
from limen.errors import InvalidRequest
from limen.events import WebhookChange, WebhookChanged
from limen.loopback import is_loopback
from limen.revocation import RevocationLog
from limen.sealing import Seal
from limen.verify.webhooks import PREFIX

SECRET_BYTES: Final = 32
BOTH_SIGN: Final = 86400 * SECOND
LONGEST_URL: Final = 1024

# What a webhook can be told of: what belongs in the audit trail, by the same names.
KIND_NAMES: Final = tuple(kind for kind, _ in KINDS.values())

_URL = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Webhook:
    """Who is told of what; `secrets` are those to sign with now, none if they cannot be opened."""

    id: str
    url: str
    kinds: tuple[str, ...]
    created_at: int
    disabled_at: int | None
    secrets: tuple[str, ...] = field(repr=False)


class Webhooks:
    """Makes, changes and deletes webhooks."""

    def __init__(self, database: Database, log: RevocationLog, seal: Seal, *, clock: Clock) -> None:
        self._database = database
        self._log = log
        self._seal = seal
        self._clock = clock

    async def create(self, url: str, kinds: Sequence[str]) -> Webhook:
        """Make a webhook, whose secret nobody is shown again.

        Raises:
            InvalidRequest: The URL or a kind is not acceptable.
            DatabaseUnavailable: Nothing was made.
        """
        _check_url(url)
        _check_kinds(kinds)
        webhook = secrets.token_hex(16)
        row = {
            "id": webhook,
            "url": url,
            "kinds": " ".join(sorted({*kinds})),
            "sealed": self._sealed(webhook, _new_secret()),
            "created_at": self._clock(),
        }
        inserting = insert(webhooks).values(row).returning(webhooks)
        async with self._log.change() as change:
            made = self._opened((await change.connection.execute(inserting)).one())
            change.happened(WebhookChanged(webhook, "created"))
        return made

    async def all(self) -> Sequence[Webhook]:
        """Return every webhook, the oldest first.

        Raises:
            DatabaseUnavailable: They cannot be read.
        """
        everyone = select(webhooks).order_by(webhooks.c.created_at, webhooks.c.id)
        async with self._database.read() as connection:
            return [self._opened(row) for row in await connection.execute(everyone)]

    async def get(self, webhook: str) -> Webhook | None:
        """Return the webhook of an id, if there is one.

        Raises:
            DatabaseUnavailable: It cannot be read.
        """
        one = select(webhooks).where(webhooks.c.id == webhook)
        async with self._database.read() as connection:
            row = (await connection.execute(one)).one_or_none()
        return None if row is None else self._opened(row)

    async def disable(self, webhook: str) -> bool:
        """Tell a webhook nothing more; return whether there is one.

        Raises:
            DatabaseUnavailable: Nothing has changed.
        """
        return await self._change(webhook, "disabled", disabled_at=self._clock())

    async def enable(self, webhook: str) -> bool:
        """Tell a webhook what happens from now on; return whether there is one.

        Raises:
            DatabaseUnavailable: Nothing has changed.
        """
        return await self._change(webhook, "enabled", disabled_at=None)

    async def delete(self, webhook: str) -> bool:
        """Forget a webhook; return whether there was one.

        Raises:
            DatabaseUnavailable: It is still there.
        """
        gone = delete(webhooks).where(webhooks.c.id == webhook).returning(webhooks.c.id)
        async with self._log.change() as change:
            found = (await change.connection.execute(gone)).one_or_none() is not None
            if found:
                change.happened(WebhookChanged(webhook, "deleted"))
        return found

    async def rotate_secret(self, webhook: str) -> str | None:
        """Give a webhook a new secret, and return it; None if there is no such webhook.

        Raises:
            DatabaseUnavailable: Nothing has changed.
        """
        found, secret = await self.get(webhook), _new_secret()
        before = found.secrets[0] if found and found.secrets else None
        sealed = self._sealed(webhook, secret, before)
        return secret if await self._change(webhook, "secret_rotated", sealed=sealed) else None

    async def seal_anew(self) -> None:
        """Seal with the newest root secret what an older one had sealed.

        Raises:
            DatabaseUnavailable: Some may have been sealed anew.
        """
        async with self._database.read() as connection:
            rows = (await connection.execute(select(webhooks.c.id, webhooks.c.sealed))).all()
        for row in rows:
            opened = self._seal.open(row.sealed, row.id)
            if opened and opened.is_stale:
                anew = self._seal.seal(opened.content, row.id)
                sealing = update(webhooks).where(webhooks.c.id == row.id).values(sealed=anew)
                async with self._database.write() as connection:
                    await connection.execute(sealing)

    async def _change(self, webhook: str, kind: WebhookChange, **values: object) -> bool:
        setting = update(webhooks).where(webhooks.c.id == webhook).values(**values)
        async with self._log.change() as change:
            found = await change.connection.execute(setting.returning(webhooks.c.id))
            is_there = found.one_or_none() is not None
            if is_there:
                change.happened(WebhookChanged(webhook, kind))
        return is_there

    def _sealed(self, webhook: str, secret: str, before: str | None = None) -> bytes:
        kept = {"secret": secret, "before": before, "until": self._clock() + BOTH_SIGN}
        return self._seal.seal(json.dumps(kept).encode(), webhook)

    def _opened(self, row: Row[Any]) -> Webhook:
        opened = self._seal.open(row.sealed, row.id)
        signing = () if opened is None else self._signing(**json.loads(opened.content))
        kinds = tuple(row.kinds.split(" "))
        return Webhook(row.id, row.url, kinds, row.created_at, row.disabled_at, signing)

    def _signing(self, secret: str, before: str | None, until: int) -> tuple[str, ...]:
        return (secret, before) if before and self._clock() < until else (secret,)


def _new_secret() -> str:
    return PREFIX + b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _check_kinds(kinds: Sequence[str]) -> None:
    if not kinds or not {*kinds} <= {*KIND_NAMES}:
        names = ", ".join(KIND_NAMES)
        raise InvalidRequest(f"Name at least one kind of event, of these: {names}.", field="kinds")


def _check_url(url: str) -> None:
    """Accept what can be posted to with nobody reading along."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
        httpx2.URL(url)  # what will have to understand it
    except (ValueError, httpx2.InvalidURL):
        host = None
    if not host or parts.scheme not in ("http", "https") or not _URL.fullmatch(url):
        raise InvalidRequest("The URL must begin with https:// and a host.", field="url")
    if len(url) > LONGEST_URL or parts.fragment or "@" in parts.netloc:
        raise InvalidRequest(
            f"The URL has {LONGEST_URL} characters at most, no credentials and no fragment.",
            field="url",
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise InvalidRequest("Plain http is for localhost alone: use https.", field="url")
