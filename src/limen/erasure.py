"""Erasure: forgetting where a person was, when he asks for it or has been gone for long enough.

What limen keeps of a person beside the account itself are the addresses that his requests came
from, which devices they came with, and the letters to his mailbox. Erasing removes these: from
the audit trail (`limen.audit_personal`), from his sessions, from the outbox. What remains in the
trail is that somebody of this user_id did this and that; the chain is whole, and an event says what
was erased. The event comes first, so whoever is cut off leaves no gap that nothing explains.

Deleting an account erases nothing of the trail at once. Whoever takes an account over could delete
it, and with it every trace of himself; its owner must be able to ask from where that was done. So a
deleted account is erased `AFTER_DELETION`, by itself. An operator may do it at once.
"""

from sqlalchemy import delete, desc, select, update

from limen.audit import AuditTrail
from limen.audit_personal import erasures, owned_by
from limen.clock import SECOND, Clock
from limen.database.engine import Database
from limen.database.schema import accounts, audit, outbox, sessions
from limen.errors import AccountNotFound
from limen.events import AccountChanged
from limen.origin import LIMEN, coming_from
from limen.revocation import RevocationLog

# A month: what data protection law gives for answering a request (GDPR, article 12).
AFTER_DELETION = 30 * 86400 * SECOND

BATCH = 500


class Erasure:
    """Erases what is personal in the record of accounts."""

    def __init__(
        self, database: Database, log: RevocationLog, trail: AuditTrail, clock: Clock
    ) -> None:
        self._database = database
        self._log = log
        self._trail = trail
        self._clock = clock

    async def erase(self, user_id: str) -> int:
        """Erase what is personal of an account that is there or was; return of how many entries.

        The account itself stays, if there is one. What happens to it from now on is recorded as
        before. Repeating it does no harm, and ends what was cut off.

        Raises:
            AccountNotFound: Nothing is known of this user_id.
            DatabaseUnavailable: Some may have been erased.
        """
        await self._trail.seal()
        if not await self._is_known(user_id):
            raise AccountNotFound
        of_sessions = update(sessions).where(sessions.c.user_id == user_id)
        letters = delete(outbox).where(outbox.c.user_id == user_id, outbox.c.kind == "mail")
        async with self._log.change() as change:
            await change.connection.execute(of_sessions.values(device=None, address=None))
            await change.connection.execute(letters)
            change.happened(AccountChanged(user_id, "erased"))
        await self._trail.seal()
        return await self._erase_entries(user_id)

    async def of_deleted(self, after: int) -> int:
        """Erase the accounts that were deleted long enough ago, in the entries behind `after`.

        Return the number of the last entry that was looked at.

        Raises:
            DatabaseUnavailable: Some may have been erased; begin behind `after` again.
        """
        row, before = audit.c, self._clock() - AFTER_DELETION
        late = select(row.seq).where(row.at <= before).order_by(desc(row.at), desc(row.seq))
        deleted = (row.kind == "account.changed", row.outcome == "deleted")
        async with self._database.read() as connection:
            until: int = (await connection.execute(late.limit(1))).scalar_one_or_none() or 0
            gone = select(row.user_id, row.seq).where(*deleted, row.seq > after, row.seq <= until)
            found = (await connection.execute(gone.order_by(row.seq))).all()
        with coming_from(LIMEN):
            for user_id, seq in found:
                await self._finish(user_id, seq)
        return max(after, until)

    async def _is_known(self, user_id: str) -> bool:
        there = select(accounts.c.user_id).where(accounts.c.user_id == user_id)
        was_there = select(audit.c.user_id).where(audit.c.user_id == user_id).limit(1)
        async with self._database.read() as connection:
            found = [(await connection.execute(one)).first() for one in (there, was_there)]
        return found != [None, None]

    async def _finish(self, user_id: str, deleted: int) -> None:
        """Erase a deleted account, unless that was done; what was cut off is ended."""
        async with self._database.read() as connection:
            erased = (await erasures(connection, [user_id])).get(user_id, 0)
        await (self._erase_entries if erased > deleted else self.erase)(user_id)

    async def _erase_entries(self, user_id: str) -> int:
        """Erase what lies before the event that says so."""
        row, after, number = audit.c, 0, 0
        async with self._database.read() as connection:
            until = (await erasures(connection, [user_id]))[user_id]
        kept = (owned_by(user_id), row.personal.is_not(None), row.seq < until)
        while True:
            some = select(row.seq).where(*kept, row.seq > after).order_by(row.seq).limit(BATCH)
            async with self._database.write() as connection:
                seqs = (await connection.execute(some)).scalars().all()
                await connection.execute(
                    update(audit).where(row.seq.in_(seqs)).values(personal=None)
                )
            number += len(seqs)
            if len(seqs) < BATCH:
                return number
            after = seqs[-1]
