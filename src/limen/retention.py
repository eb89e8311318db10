"""Retention: how long the audit trail goes back, and what is done about it every minute.

Entries that are older than the retention go from the beginning, some thousands a round. Accounts
that were deleted long enough ago are erased (`limen.erasure`). And once an hour the head of the
trail is logged, if it has moved: logs are mostly kept elsewhere, and so is an anchor, with which
`limen audit verify` notices when the end of the trail is cut off or the whole written anew.

All this is done by whoever sweeps the trail (`limen.sweep`): one process of all.
"""

import asyncio
import logging

from limen.audit import BATCH, AuditTrail
from limen.audit_chain import BEGINNING
from limen.clock import SECOND, Clock
from limen.erasure import Erasure
from limen.sweep import PAUSE, ROUND, Walked

TOLD_EVERY = 3600 * SECOND

_logger = logging.getLogger(__name__)


class Retention:
    """Keeps the trail as long as it is to be `kept`, in seconds."""

    def __init__(self, trail: AuditTrail, erasure: Erasure, *, kept: int, clock: Clock) -> None:
        self._trail = trail
        self._erasure = erasure
        self._kept = kept * SECOND
        self._clock = clock
        self._told, self._told_at = BEGINNING, 0

    async def round(self, start: str) -> Walked:
        """Do what is due; `start` is the last entry in which deleted accounts were looked for.

        Raises:
            DatabaseUnavailable: Some may be done.
        """
        removed = await self._prune()
        erased_to = await self._erasure.of_deleted(int(start or 0))
        await self._tell_the_head()
        return Walked(str(erased_to), removed)

    async def _prune(self) -> int:
        before, removed = self._clock() - self._kept, 0
        for _ in range(ROUND):
            pruned = await self._trail.prune(before)
            removed += pruned
            if pruned < BATCH:
                break
            await asyncio.sleep(PAUSE)
        return removed

    async def _tell_the_head(self) -> None:
        now, head = self._clock(), await self._trail.head()
        if head == self._told or abs(now - self._told_at) < TOLD_EVERY:
            return
        self._told, self._told_at = head, now
        _logger.info("the audit trail ends here", extra={"anchor": str(head)})
